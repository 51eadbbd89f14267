-- As much of REAPER's API as the action uses: a project of one track with two items, and a log of what was called.
log, items, undo = {}, {}, {}
tracks = {{name = "Band", depth = 0, items = {}}}
chosen_preset, selected, time_from, time_to = "keep", {}, 0, 0
function add(position, length, offset, rate)
  local item = {position = position, length = length, track = tracks[1], mute = 0}
  item.take = {offset = offset, rate = rate, source = {path = MEDIA}}
  items[#items + 1] = item
  return item
end
local keys = {D_POSITION = "position", D_LENGTH = "length", D_STARTOFFS = "offset", D_PLAYRATE = "rate",
  I_FOLDERDEPTH = "depth", B_MUTE = "mute"}
local function get(thing, key)
  if key == "IP_TRACKNUMBER" then
    for number, one in ipairs(tracks) do if one == thing then return number end end
  end
  return thing[keys[key]]
end
local function set(thing, key, value) assert(#undo == 1, "outside the undo block"); thing[keys[key]] = value end
reaper = {
  GetSet_LoopTimeRange = function() return time_from, time_to end,
  CountSelectedMediaItems = function() return #selected end,
  CountMediaItems = function() return #items end,
  GetMediaItem = function(_, index) return items[index + 1] end,
  GetSelectedMediaItem = function(_, index) return selected[index + 1] end,
  GetActiveTake = function(item) return item.take end,
  TakeIsMIDI = function() return false end,
  GetMediaItemInfo_Value = get, GetMediaItemTakeInfo_Value = get, GetMediaTrackInfo_Value = get,
  SetMediaItemInfo_Value = set, SetMediaItemTakeInfo_Value = set, SetMediaTrackInfo_Value = set,
  GetMediaItemTake_Source = function(take) return take.source end,
  GetMediaSourceParent = function() return nil end,
  GetMediaSourceFileName = function(source) return source.path end,
  GetMediaItem_Track = function(item) return item.track end,
  GetTrackName = function(track) return true, track.name end,
  GetProjectPath = function() return PROJECT end,
  InsertTrackAtIndex = function(at) assert(#undo == 1); table.insert(tracks, at + 1, {name = "", depth = 0, items = {}}) end,
  GetTrack = function(_, at) return tracks[at + 1] end,
  GetSetMediaTrackInfo_String = function(track, _, value) track.name = value end,
  AddMediaItemToTrack = function(track) local item = {}; track.items[#track.items + 1] = item; return item end,
  AddTakeToMediaItem = function(item) item.take = {}; return item.take end,
  SetMediaItemTake_Source = function(take, source) take.source = source end,
  PCM_Source_CreateFromFile = function(path) return {path = path} end,
  GetUserInputs = function() return chosen_preset ~= nil, chosen_preset end,
  MB = function(text) log[#log + 1] = "message " .. text end,
  Undo_BeginBlock = function() undo[#undo + 1] = "open" end,
  Undo_EndBlock = function() undo[#undo] = "closed" end,
  PreventUIRefresh = function() end,
  UpdateArrange = function() end,
  ExecProcess = function(command)
    local pipe = io.popen(command)
    local said = pipe:read("*a")
    local _, _, status = pipe:close()
    return tostring(status) .. "\n" .. said
  end,
}
function tell()
  for _, line in ipairs(log) do print(line) end
  print("undo " .. table.concat(undo, " "))
  for _, track in ipairs(tracks) do
    print(("track %s depth %d"):format(track.name, track.depth))
    for _, item in ipairs(track.items) do
      print(("  item %g %g from %g rate %g %s"):format(item.position, item.length, item.take.offset,
        item.take.rate, item.take.source.path:match("[^/]+$")))
    end
  end
  for _, item in ipairs(items) do print("original muted " .. item.mute) end
end
