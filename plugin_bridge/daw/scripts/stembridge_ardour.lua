ardour {
  ["type"] = "EditorAction",
  name = "Stembridge: stems",
  license = "GPL-3.0-or-later",
  author = "Stembridge",
  description = [[Separates the selected tracks of this session, or all: their stems become tracks under them, with the same
strip, in a group; the originals are muted. The command line does the work and also leaves a snapshot with the stems.]]
}

-- Put in place by `stembridge daw-scripts install`. Ardour keeps nothing of a script but this function.
function factory() return function()
  local COMMAND = "@COMMAND@"
  local TITLE = "Stembridge: stems"

  -- @JSON@

  local function say(text, kind)
    LuaDialog.Message(TITLE, text, kind, LuaDialog.ButtonType.Close):run()
  end

  local function fail(text) say(text, LuaDialog.MessageType.Error) end

  local function quoted(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

  local function run(words)
    local parts = {COMMAND}
    for _, word in ipairs(words) do parts[#parts + 1] = quoted(word) end
    local pipe = io.popen(table.concat(parts, " ") .. " 2>&1")
    local said = pipe:read("*a")
    pipe:close()
    return said
  end

  -- The JSON object in what the command printed, or nil.
  local function object(said)
    local ok, found = pcall(json.decode, said:match("{.*}") or "")
    return ok and found or nil
  end

  local function choose()
    local said = run({"presets", "list", "--json"})
    local ok, listed = pcall(json.decode, said:match("[%[{].*") or "")
    local choices, default = {}, nil
    for _, one in ipairs(ok and (listed.presets or listed) or {}) do
      local name = one.name or one
      choices[name] = name
      default = default or name
    end
    if not default then fail(said) return nil end
    local chosen = LuaDialog.Dialog(TITLE, {
      {type = "dropdown", key = "preset", title = "Preset", values = choices, default = default},
    }):run()
    return chosen and chosen["preset"]
  end

  -- The names of the tracks that are selected; none for all.
  local function selected()
    local names = {}
    for route in Editor:get_selection().tracks:routelist():iter() do
      if not route:to_track():isnil() then names[#names + 1] = route:name() end
    end
    return names
  end

  -- The files that the command made, by track: where they begin, their paths; and the snapshot. Or nil, and why.
  local function separate(preset, names)
    local folder = Session:path():gsub("/$", "")
    Session:save_state("", false, false, false, false, false)
    local words = {
      "render", folder .. "/" .. Session:snap_name() .. ".ardour", "--preset", preset,
      "--out", folder .. "/stems", "--json", "--quiet",
    }
    for _, name in ipairs(names) do
      words[#words + 1] = "--tracks"
      words[#words + 1] = name
    end
    local said = run(words)
    local results = object(said)
    if not results or results.status ~= "done" then
      for _, job in ipairs(results and results.jobs or {}) do
        if job.error ~= "" then return nil, job.job .. ": " .. job.error end
      end
      return nil, said:sub(-400)
    end
    for _, path in ipairs(results.further_outputs) do
      if path:match("%.ardour$") then return results, path end
    end
    return nil, "the command made no snapshot"
  end

  -- What an XML element says under a name, or "".
  local function attribute(element, name)
    local said = element:match(" " .. name .. '="([^"]*)"') or ""
    for word, char in pairs({["&lt;"] = "<", ["&gt;"] = ">", ["&quot;"] = '"', ["&apos;"] = "'"}) do
      said = said:gsub(word, char)
    end
    return (said:gsub("&amp;", "&"))
  end

  -- The routes of a session file as text, in its order, each with its name; and the name of each id's group.
  local function routes_in(path)
    local file = io.open(path, "r")
    local text = file:read("*a")
    file:close()
    local groups = {}
    for group in text:gmatch("<RouteGroup [^>]*>") do
      for id in attribute(group, "routes"):gmatch("%d+") do groups[id] = attribute(group, "name") end
    end
    local found, from = {}, 1
    while true do
      local first, last = text:find("<Route [^>]*>", from)
      if not first then return found, groups end
      local stop = select(2, text:find("</Route>", last, true))
      found[#found + 1] = {name = attribute(text:sub(first, last), "name"), text = text:sub(first, stop)}
      from = stop
    end
  end

  -- A track with the strip that the snapshot gives the stem: fader, pan, plug-ins, automation, sends, colour.
  local function new_track(route, order)
    local path = os.tmpname()
    local file = io.open(path, "w")
    file:write('<?xml version="1.0" encoding="UTF-8"?>\n', route.text, "\n")
    file:close()
    local made = Session:new_route_from_template(
      1, order, path, route.name, ARDOUR.PlaylistDisposition.NewPlaylist
    )
    os.remove(path)
    for one in made:iter() do return one end
  end

  local function import(path, track, seconds)
    local files = C.StringVector()
    files:push_back(path)
    Editor:do_import(
      files, Editing.ImportDistinctFiles, Editing.ImportToTrack, ARDOUR.SrcQuality.SrcBest,
      ARDOUR.MidiTrackNameSource.SMFTrackName, ARDOUR.MidiTempoMapDisposition.SMFTempoIgnore,
      Temporal.timepos_t(math.floor(seconds * Session:nominal_sample_rate() + 0.5)),
      ARDOUR.PluginInfo(), track, false
    )
    -- The clips' fades are in the stems.
    for region in track:playlist():region_list():iter() do
      local audio = region:to_audioregion()
      audio:set_fade_in_active(false)
      audio:set_fade_out_active(false)
    end
  end

  -- The group called so; a new one shows what belongs together and moves no fader.
  local function group_called(name)
    for group in Session:route_groups():iter() do
      if group:name() == name then return group end
    end
    local group = Session:new_route_group(name)
    group:set_gain(false)
    group:set_mute(false)
    group:set_solo(false)
    group:set_route_active(false)
    return group
  end

  -- Puts the stems of one track under it; returns how many.
  local function place(track, routes, groups)
    local alone = PBD.GroupControlDisposition.NoGroup
    local source = Session:route_by_name(track.track)
    local at
    for index, route in ipairs(routes) do
      if route.name == track.track then at = index end
    end
    local own = groups[source:to_stateful():id():to_s()]
    local group = group_called(own or track.track .. " stems")
    local order = source:presentation_info_ptr():order()
    for number, file in ipairs(track.files) do
      -- The snapshot has them right behind their source.
      local made = new_track(routes[at + number], order + number)
      group:add(made)
      import(file.path, made:to_track(), track.start_seconds)
    end
    source:mute_control():set_value(1, alone)
    source:solo_control():set_value(0, alone)
    return #track.files
  end

  if not (io and io.popen) then
    fail("Lua scripts may not start programs here; set sandbox-all-lua-scripts to 0 in Ardour's ui_config.")
    return
  end
  local preset = choose()
  if not preset then return end
  local results, snapshot = separate(preset, selected())
  if not results then fail(snapshot) return end
  local routes, groups = routes_in(snapshot)
  local count = 0
  for _, job in ipairs(results.jobs) do
    for _, track in ipairs(job.tracks) do count = count + place(track, routes, groups) end
  end
  say(count .. " stems are tracks under their muted sources.", LuaDialog.MessageType.Info)
end end
