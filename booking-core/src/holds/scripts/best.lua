-- Part of hold: chooses adjacent seats.
-- The rows key lists runs of adjacent seats without an aisle, best first: first seat, count, tier, each a u32. In the
-- first run that has room the window nearest to the run's middle is taken.
local function best_seats(show, count, tier)
  local runs, statuses = call('GET', ROWS) or '', call('GET', STATUS) or ''
  local function free(seat)
    local byte = string.byte(statuses, math.floor(seat / 4) + 1) or 0
    return math.floor(byte / 4 ^ (3 - seat % 4)) % 4 == 0
  end
  for at = 1, #runs, 12 do
    local first, length, of_tier = struct.unpack('>I4I4I4', runs, at)
    if length >= count and (tier == -1 or tier == of_tier) then
      local chosen, distance, open = nil, nil, 0
      for seat = first, math.min(first + length, show.seats) - 1 do
        open = free(seat) and open + 1 or 0
        if open >= count then
          local off = math.abs((seat - count + 1 - first) * 2 + count - length)
          if not distance or off < distance then
            chosen, distance = seat - count + 1, off
          end
        end
      end
      if chosen then
        local seats = {}
        for i = 1, count do
          seats[i] = chosen + i - 1
        end
        return seats
      end
    end
  end
  return nil
end
