-- One page of a cluster's tasks, newest first. ARGV: run, now, cluster, before ('+inf' or a sequence), limit, scan,
-- connection ('' for all), status ('' for all). Answers the items, and where the page ended or '' on the last.
local index, limit, scan = '@accepted@' .. ARGV[3], tonumber(ARGV[5]), tonumber(ARGV[6])
local last, items, scanned = ARGV[4], {}, 0
local before = ARGV[4] == '+inf' and ARGV[4] or '(' .. ARGV[4]
while true do
  local part = call('ZREVRANGEBYSCORE', index, before, '-inf', 'WITHSCORES', 'LIMIT', 0, 100)
  for i = 1, #part, 2 do
    if #items >= limit or scanned >= scan then return {items, last} end
    scanned = scanned + 1
    local t = part[i]
    last = part[i + 1]
    local state = call('HMGET', '@state@' .. t, 'cluster', 'connection', 'kind', 'at', 'record', 'final', 'status')
    if not state[1] then
      call('ZREM', index, t)
    else
      local home = call('GET', '@alias@' .. t) or state[2]
      if (ARGV[7] == '' or ARGV[7] == home) and (ARGV[8] == '' or ARGV[8] == (state[7] or 'ACCEPTED')) then
        items[#items + 1] = {t, home, state[1], state[3], state[4], state[5] or '', state[6] or '0'}
      end
    end
  end
  if #part < 200 then return {items, ''} end
  before = '(' .. last
end
