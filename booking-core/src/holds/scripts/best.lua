-- Part of hold: chooses adjacent seats.
--
-- Runs of neighbours come best first (show.lua tells their form). A window is `count` free seats in a row inside one run;
-- of a tier, when one is asked for, inside one of the run's pieces of that tier; without seats that this customer has to
-- wait for. The first run that has a window decides; of its windows the one nearest to the run's middle, of two as near
-- the lower. On a show where no seat may be left alone, windows that leave none go first: the first run that has such a
-- window; when no run has one, the first run that has any window.
local function best_seats(show, count, tier, cooling)
  local rows, statuses = call('GET', ROWS) or '', call('GET', STATUS) or ''
  -- Bytes without a free seat.
  local full = {}
  for high = 0, 2 do
    for two = 0, 2 do
      for three = 0, 2 do
        for low = 0, 2 do
          full[85 + high * 64 + two * 16 + three * 4 + low] = true
        end
      end
    end
  end
  local function free(seat)
    local byte = string.byte(statuses, math.floor(seat / 4) + 1)
    return byte and bit.band(bit.rshift(byte, 6 - seat % 4 * 2), 3) == 0
  end
  local function has_room(from, to)
    for at = math.floor(from / 4) + 1, math.floor(to / 4) + 1 do
      if not full[string.byte(statuses, at)] then
        return true
      end
    end
    return false
  end

  local at, spare = math.ceil(show.seats / 8) + 1, nil
  while at <= #rows do
    local first, length, pieces
    first, length, pieces, at = struct.unpack('>I4I4I2', rows, at)
    local last, pieces_at = first + length - 1, at
    at = at + 8 * pieces
    local chosen, distance, strands = nil, nil, false
    if length >= count and has_room(first, last) then
      local function alone(seat, step)
        local next = seat + step
        return seat >= first and seat <= last and free(seat) and not (next >= first and next <= last and free(next))
      end
      local function look(from, to)
        local open = 0
        for seat = from, to do
          open = free(seat) and not cooling[seat] and open + 1 or 0
          if open >= count then
            local low = seat - count + 1
            local off = math.abs((low - first) * 2 + count - length)
            local lonely = show.no_orphan and (alone(low - 1, -1) or alone(seat + 1, 1)) or false
            if not chosen or (strands and not lonely) or (strands == lonely and off < distance) then
              chosen, distance, strands = low, off, lonely
            end
          end
        end
      end
      if tier == -1 then
        look(first, last)
      else
        local from = first
        for _ = 1, pieces do
          local many, of_tier
          many, of_tier, pieces_at = struct.unpack('>I4I4', rows, pieces_at)
          if of_tier == tier then
            look(from, from + many - 1)
          end
          from = from + many
        end
      end
    end
    if chosen and not strands then
      spare = chosen
      break
    end
    spare = spare or chosen
  end
  if not spare then
    return nil
  end
  local seats = {}
  for i = 1, count do
    seats[i] = spare + i - 1
  end
  return seats
end
