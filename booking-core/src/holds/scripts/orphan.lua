-- Part of hold: the seats that a choice would leave alone, for shows that do not want that.
--
-- A seat is free as seat_status says at this moment. Neighbours are joined by the rows key, whatever their tiers; a gap is
-- a longest stretch of free neighbours. A choice strands a seat that stays free, had a free neighbour and keeps none: what
-- was alone before does not count. Judged gap by gap, with n seats of which the choice takes k:
--   n - k is not 1: from one end k seats can be taken without stranding any, so a choice that strands is refused;
--   n - k is 1: whatever k seats are taken here, one is left. Refused only when another gap of the same run (looked for up
--   to 100 seats away on either side), of which the choice takes nothing, has n >= k and n - k other than 1.
-- So of each size that fits into some gap of a run there is a choice that is not refused.
-- Answers { { seat, 5 } … } ascending, of the gaps that decide, or nil.
local function orphans(seats)
  local statuses, joints, wanted = {}, {}, {}
  local function byte_of(cache, key, at)
    local part = math.floor(at / 64)
    local text = cache[part]
    if not text then
      text = call('GETRANGE', key, part * 64, part * 64 + 63)
      cache[part] = text
    end
    return string.byte(text, at % 64 + 1) or 0
  end
  local function free(seat)
    return bit.band(bit.rshift(byte_of(statuses, STATUS, math.floor(seat / 4)), 6 - seat % 4 * 2), 3) == 0
  end
  -- The neighbour on one side (step -1 or 1), or nil.
  local function beside(seat, step)
    local low = step < 0 and seat - 1 or seat
    if low >= 0 and bit.band(byte_of(joints, ROWS, math.floor(low / 8)), bit.rshift(128, low % 8)) ~= 0 then
      return seat + step
    end
  end
  local function stays(seat)
    return seat and not wanted[seat] and free(seat)
  end

  for _, seat in ipairs(seats) do
    wanted[seat] = true
  end
  local alone = {}
  for _, seat in ipairs(seats) do
    for step = -1, 1, 2 do
      local other = beside(seat, step)
      if other ~= alone[#alone] and stays(other) and not stays(beside(other, step)) then
        alone[#alone + 1] = other
      end
    end
  end

  -- Whether a gap elsewhere in the run has room for k seats without leaving one; `from` is the end of the gap looked at.
  local function elsewhere(from, step, k)
    local seat, n, touched = beside(from, step), 0, false
    for _ = 1, 100 do
      if seat and free(seat) then
        n, touched = n + 1, touched or wanted[seat]
      else
        if not touched and n >= k and n - k ~= 1 then
          return true
        elseif not seat then
          return false
        end
        n, touched = 0, false
      end
      seat = seat and beside(seat, step)
    end
    return false
  end
  local refused = {}
  for _, seat in ipairs(alone) do
    -- Walks over wanted seats only, up to the gap's ends or the next seat that stays.
    local ends, more = { [-1] = seat, [1] = seat }, false
    for step = -1, 1, 2 do
      local other = beside(seat, step)
      while other and free(other) and not more do
        more = not wanted[other]
        ends[step] = other
        other = beside(other, step)
      end
    end
    local k = ends[1] - ends[-1]
    if more or elsewhere(ends[-1], -1, k) or elsewhere(ends[1], 1, k) then
      refused[#refused + 1] = { seat, 5 }
    end
  end
  return #refused > 0 and refused or nil
end
