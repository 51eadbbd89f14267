-- Stembridge: stems of the selected items, or of the time selection, as tracks in a folder.
-- Licence: GPL-3.0-or-later. Put in place by `stembridge daw-scripts install`.
-- It calls the command line, which does the work, and reads what that prints as JSON.

local COMMAND = "@COMMAND@"
-- @JSON@

local function quoted(word)
  if package.config:sub(1, 1) == "\\" then return '"' .. word:gsub('"', "") .. '"' end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

-- The command's output; REAPER's ExecProcess puts the status on the first line.
local function run(words, milliseconds)
  local parts = {COMMAND}
  for _, word in ipairs(words) do parts[#parts + 1] = quoted(word) end
  local said = reaper.ExecProcess(table.concat(parts, " "), milliseconds or 0)
  if not said then return nil, "the command line did not answer" end
  local status, output = said:match("^(%-?%d+)\n(.*)$")
  return output, tonumber(status)
end

local function presets()
  local output = run({"presets", "list", "--json"}, 60000)
  local names = {}
  local listed = output and json.decode(output) or {}
  for _, one in ipairs(listed.presets or listed) do names[#names + 1] = one.name or one end
  return names
end

local function choose()
  local names = presets()
  if #names == 0 then return nil end
  local ok, chosen = reaper.GetUserInputs(
    "Stembridge", 1, "Preset (" .. table.concat(names, " "):sub(1, 200) .. "),extrawidth=300", names[1]
  )
  if not ok then return nil end
  return chosen
end

-- What to separate: a path, where it begins in it, where on the timeline, how long, and on which track.
local function wanted()
  local found = {}
  local from, to = reaper.GetSet_LoopTimeRange(false, false, 0, 0, false)
  local by_time = reaper.CountSelectedMediaItems(0) == 0 and to > from
  local count = by_time and reaper.CountMediaItems(0) or reaper.CountSelectedMediaItems(0)
  for index = 0, count - 1 do
    local item = by_time and reaper.GetMediaItem(0, index) or reaper.GetSelectedMediaItem(0, index)
    local take = reaper.GetActiveTake(item)
    if take and not reaper.TakeIsMIDI(take) then
      local position = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
      local length = reaper.GetMediaItemInfo_Value(item, "D_LENGTH")
      local offset = reaper.GetMediaItemTakeInfo_Value(take, "D_STARTOFFS")
      local rate = reaper.GetMediaItemTakeInfo_Value(take, "D_PLAYRATE")
      local first, last = position, position + length
      if by_time then first, last = math.max(first, from), math.min(last, to) end
      if last > first then
        local source = reaper.GetMediaItemTake_Source(take)
        local parent = reaper.GetMediaSourceParent(source)
        while parent do source, parent = parent, reaper.GetMediaSourceParent(parent) end
        found[#found + 1] = {
          item = item,
          track = reaper.GetMediaItem_Track(item),
          path = reaper.GetMediaSourceFileName(source, ""),
          position = first,
          length = last - first,
          offset = offset + (first - position) * rate,
          rate = rate,
          whole = first == position and last == position + length,
        }
      end
    end
  end
  return found
end

-- The stems of one file, made once however many items play it.
local function separate(path, preset)
  local project = reaper.GetProjectPath("")
  local output, status = run({"separate", path, "--preset", preset, "--out", project .. "/stems", "--json", "--quiet"})
  if not output then return nil, status end
  local ok, results = pcall(json.decode, output:match("{.*}") or "")
  if not ok or status ~= 0 or results.status ~= "done" then
    local job = ok and results.jobs and results.jobs[1]
    local said = job and job.error or output
    if not said:find("%S") then said = "preset " .. preset .. ": the command ended with status " .. tostring(status) end
    return nil, said
  end
  local stems = {}
  for _, job in ipairs(results.jobs) do
    for _, file in ipairs(job.outputs) do
      local name = file:match("([^/\\]+)%.%w+$")
      if name and not file:match("%.json$") then stems[#stems + 1] = {name = name, path = file} end
    end
  end
  return stems
end

local function place(part, stems)
  local number = math.floor(reaper.GetMediaTrackInfo_Value(part.track, "IP_TRACKNUMBER"))
  local _, name = reaper.GetTrackName(part.track)
  reaper.InsertTrackAtIndex(number, true)
  local folder = reaper.GetTrack(0, number)
  reaper.GetSetMediaTrackInfo_String(folder, "P_NAME", name .. " stems", true)
  reaper.SetMediaTrackInfo_Value(folder, "I_FOLDERDEPTH", 1)
  local depth = reaper.GetMediaTrackInfo_Value(part.track, "I_FOLDERDEPTH")
  local ends = depth < 0 and depth or 0
  if ends < 0 then reaper.SetMediaTrackInfo_Value(part.track, "I_FOLDERDEPTH", 0) end
  for index, stem in ipairs(stems) do
    reaper.InsertTrackAtIndex(number + index, true)
    local track = reaper.GetTrack(0, number + index)
    reaper.GetSetMediaTrackInfo_String(track, "P_NAME", stem.name, true)
    reaper.SetMediaTrackInfo_Value(track, "I_FOLDERDEPTH", index == #stems and -1 + ends or 0)
    local item = reaper.AddMediaItemToTrack(track)
    reaper.SetMediaItemInfo_Value(item, "D_POSITION", part.position)
    reaper.SetMediaItemInfo_Value(item, "D_LENGTH", part.length)
    local take = reaper.AddTakeToMediaItem(item)
    reaper.SetMediaItemTake_Source(take, reaper.PCM_Source_CreateFromFile(stem.path))
    -- The stem is as long as the whole file: offset and rate are the item's.
    reaper.SetMediaItemTakeInfo_Value(take, "D_STARTOFFS", part.offset)
    reaper.SetMediaItemTakeInfo_Value(take, "D_PLAYRATE", part.rate)
  end
  if part.whole then reaper.SetMediaItemInfo_Value(part.item, "B_MUTE", 1) end
end

local function main()
  local parts = wanted()
  if #parts == 0 then
    reaper.MB("Select audio items, or a time with audio in it.", "Stembridge", 0)
    return
  end
  local preset = choose()
  if not preset then return end
  local made, problems = {}, {}
  for _, part in ipairs(parts) do
    if made[part.path] == nil then
      local stems, why = separate(part.path, preset)
      made[part.path] = stems or false
      if not stems then problems[#problems + 1] = part.path .. ": " .. tostring(why) end
    end
  end
  reaper.Undo_BeginBlock()
  reaper.PreventUIRefresh(1)
  for _, part in ipairs(parts) do
    if made[part.path] then place(part, made[part.path]) end
  end
  reaper.PreventUIRefresh(-1)
  reaper.UpdateArrange()
  reaper.Undo_EndBlock("Stembridge: stems", -1)
  if #problems > 0 then reaper.MB(table.concat(problems, "\n"):sub(1, 1000), "Stembridge", 0) end
end

main()
