ardour {
  ["type"] = "EditorAction",
  name = "Stembridge: stems",
  license = "GPL-3.0-or-later",
  author = "Stembridge",
  description = [[Separates the tracks of this session: saves it, lets the command line write the stems and a snapshot
in which they are tracks under their muted sources, and says how to open that.]]
}

-- Put in place by `stembridge daw-scripts install`. The command line does the work; what it prints is JSON.
local COMMAND = "@COMMAND@"

local function quoted(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

function stembridge_run(words)
  local parts = {COMMAND}
  for _, word in ipairs(words) do parts[#parts + 1] = quoted(word) end
  local pipe = io.popen(table.concat(parts, " ") .. " 2>&1; echo")
  local said = pipe:read("*a")
  pipe:close()
  return said
end

-- The tracks that are selected, or all.
function stembridge_tracks()
  local names = {}
  if Editor then
    local selected = Editor:get_selection().tracks:routelist()
    for route in selected:iter() do names[#names + 1] = route:name() end
  end
  return names
end

-- Saves the session and makes the snapshot; returns its path, or nil and why not.
function stembridge_stems(preset, names)
  local folder, name = Session:path(), Session:snap_name()
  Session:save_state("", false, false, false, false, false)
  local path = folder:gsub("/$", "") .. "/" .. name .. ".ardour"
  local words = {"render", path, "--preset", preset, "--out", folder:gsub("/$", "") .. "/stems", "--json", "--quiet"}
  for _, one in ipairs(names) do
    words[#words + 1] = "--tracks"
    words[#words + 1] = one
  end
  local said = stembridge_run(words)
  local snapshot = said:match('"([^"]+_stems%.ardour)"')
  if said:match('"status":%s*"done"') and snapshot then return snapshot end
  return nil, said:match('"error":%s*"([^"]+)"') or said:sub(-400)
end

function factory() return function()
  local listed = stembridge_run({"presets", "list", "--json"})
  local choices, default = {}, nil
  for name in listed:gmatch('"name":%s*"([^"]+)"') do
    choices[name] = name
    default = default or name
  end
  if not default then
    LuaDialog.Message("Stembridge", listed, LuaDialog.MessageType.Error, LuaDialog.ButtonType.Close):run()
    return
  end
  local dialog = LuaDialog.Dialog("Stembridge: stems", {
    {type = "dropdown", key = "preset", title = "Preset", values = choices, default = default},
  })
  local chosen = dialog:run()
  if not chosen then return end
  local snapshot, why = stembridge_stems(chosen["preset"], stembridge_tracks())
  local text = snapshot and ("Open the snapshot with the stems: " .. snapshot) or why
  local kind = snapshot and LuaDialog.MessageType.Info or LuaDialog.MessageType.Error
  LuaDialog.Message("Stembridge", text, kind, LuaDialog.ButtonType.Close):run()
end end
