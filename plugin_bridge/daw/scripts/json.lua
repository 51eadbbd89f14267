-- The few kinds of JSON values that the command line prints.
local json = {}

function json.decode(text)
  local at = 1
  local value
  local function skip() at = text:find("%S", at) or #text + 1 end
  local function word()
    local made = {}
    at = at + 1
    while true do
      local char = text:sub(at, at)
      if char == "" then error("the JSON ends inside a string") end
      if char == '"' then at = at + 1; return table.concat(made) end
      if char == "\\" then
        local code = text:sub(at + 1, at + 1)
        if code == "u" then
          local number = tonumber(text:sub(at + 2, at + 5), 16)
          at = at + 6
          if number >= 0xD800 and number < 0xDC00 and text:sub(at, at + 1) == "\\u" then
            number = 0x10000 + (number - 0xD800) * 0x400 + tonumber(text:sub(at + 2, at + 5), 16) - 0xDC00
            at = at + 6
          end
          made[#made + 1] = utf8.char(number)
        else
          local known = {b = "\b", f = "\f", n = "\n", r = "\r", t = "\t"}
          made[#made + 1] = known[code] or code
          at = at + 2
        end
      else
        made[#made + 1] = char
        at = at + 1
      end
    end
  end
  local function list(close, one)
    local made = {}
    at = at + 1
    skip()
    while text:sub(at, at) ~= close do
      if at > #text then error("the JSON ends too early") end
      one(made)
      skip()
      if text:sub(at, at) == "," then at = at + 1; skip() end
    end
    at = at + 1
    return made
  end
  function value()
    skip()
    local char = text:sub(at, at)
    if char == "{" then
      return list("}", function(made)
        local key = word()
        skip()
        at = at + 1
        made[key] = value()
      end)
    elseif char == "[" then
      return list("]", function(made) made[#made + 1] = value() end)
    elseif char == '"' then
      return word()
    end
    local plain = text:match("^[%w%+%-%.]+", at)
    if not plain then error("no JSON at byte " .. at) end
    at = at + #plain
    if plain == "true" then return true elseif plain == "false" then return false end
    return tonumber(plain)
  end
  return value()
end
