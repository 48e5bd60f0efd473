-- What the steps share. Names between at signs are key prefixes and bounds, filled in when a script is made.
-- Every step is called with ARGV[1], the life of the server it talks to, and ARGV[2], the time as text.
local call = redis.call
local RUN, NOW = ARGV[1], ARGV[2]

local function int(n) return string.format('%.0f', n) end

local function pod_of(holder) return string.match(holder, '^([^:]+)') end
local function cluster_of(holder) return string.match(holder, ':(.+)$') end

-- Microseconds, never twice the same in one step (the server's clock stands still meanwhile).
local told = 0
local function tick()
  local t = call('TIME')
  told = math.max(t[1] * 1000000 + t[2], told + 1)
  return told
end

local DIGITS = '0123456789abcdefghijklmnopqrstuvwxyz'
local function base36(n)
  local text = ''
  repeat
    local digit = n % 36
    text = string.sub(DIGITS, digit + 1, digit + 1) .. text
    n = (n - digit) / 36
  until n == 0
  return text
end

-- Ends the history of a connection and begins another, of this life, at this offset.
local function renew(c, off)
  local key = '@meta@' .. c
  local before = call('HGET', key, 'epoch')
  local epoch
  repeat epoch = base36(tick()) until epoch ~= before
  call('DEL', '@log@' .. c)
  call('HSET', key, 'run', RUN, 'epoch', epoch, 'off', int(off))
  call('EXPIRE', key, @ttl@)
  return epoch
end

-- Epoch and offset of a connection. What another life of the server wrote may have holes, and nobody can
-- know: such a history ends here.
local function history(c)
  local m = call('HMGET', '@meta@' .. c, 'run', 'epoch', 'off')
  local off = tonumber(m[3] or 0)
  if m[1] == RUN then return m[2], off end
  return renew(c, off), off
end

local function tell(c, message)
  local holder = call('GET', '@connections@' .. c)
  if holder then call('PUBLISH', '@channel@' .. pod_of(holder), message) end
end

-- How many entries the log is to keep, after the number of attached tasks changed.
local function recount(c)
  local attached = call('ZCOUNT', '@tasks@' .. c, 0, '+inf')
  call('HSET', '@meta@' .. c, 'keep', int(math.max(@floor@, @per_task@ * attached)))
end

-- Adds an entry at an offset, which the caller writes down after it. Where that cannot be, somebody else wrote under the
-- log's name: what was there is gone, and another history begins. Answers the epoch in force.
local function add(c, epoch, keep, off, record)
  local key, id = '@log@' .. c, int(off) .. '-0'
  if type(redis.pcall('XADD', key, 'MAXLEN', keep, id, 'r', record)) ~= 'table' then return epoch end
  epoch = renew(c, off - 1)
  call('XADD', key, 'MAXLEN', keep, id, 'r', record)
  return epoch
end

-- A record is kind, task, status, event id and JSON, with tabs between.
local function append(c, record)
  local epoch, off = history(c)
  local key = '@meta@' .. c
  off = int(off + 1)
  local keep = call('HGET', key, 'keep') or @floor@
  epoch = add(c, epoch, keep, off, record)
  call('HSET', key, 'off', off)
  call('EXPIRE', '@log@' .. c, @ttl@)
  tell(c, 'E\t' .. c .. '\t' .. epoch .. '\t' .. off .. '\t' .. record)
  return tonumber(off)
end

-- A day from now for all of a connection, and for a task.
local function keep_connection(c)
  for _, prefix in ipairs({'@meta@', '@log@', '@tasks@', '@connections@'}) do
    call('EXPIRE', prefix .. c, @ttl@)
  end
end
local function keep_task(t)
  for _, prefix in ipairs({'@alias@', '@seen@', '@rows@'}) do
    call('EXPIRE', prefix .. t, @ttl@)
  end
  -- An accepted task has no end of life before its end, however long it waits.
  local state = call('HMGET', '@state@' .. t, 'cluster', 'final')
  if state[1] and state[2] ~= '1' then
    call('PERSIST', '@state@' .. t)
  else
    call('EXPIRE', '@state@' .. t, @ttl@)
  end
end

-- The connection a task belongs to, unless it is forgotten.
local function home_of(t)
  local c = call('GET', '@alias@' .. t)
  if c and call('EXISTS', '@meta@' .. c) == 1 then return c end
end

-- Logs an event with the connection c its task belongs to, and makes it the task's latest, of `count` before it.
local function log_of_task(c, t, id, final, status, record, count)
  local off = int(append(c, record))
  call('HSET', '@state@' .. t, 'record', record, 'status', status, 'event', id, 'final', final, 'off', off,
    'count', (count or 0) + 1)
  if final == '1' then
    call('DEL', '@seen@' .. t, '@body@' .. t)
    call('ZADD', '@tasks@' .. c, 'XX', off, t)
    -- Nobody runs it any more, and nobody will.
    local queued = call('HMGET', '@state@' .. t, 'cluster', 'pod')
    if queued[1] then call('ZREM', '@waiting@' .. queued[1], t) end
    if queued[2] then call('SREM', '@claims@' .. queued[2], t) end
  end
  keep_task(t)
end

-- What connection c still has of a task, if this life of the server wrote it.
local function records_of(c, t)
  local found = {}
  if call('HGET', '@meta@' .. c, 'run') ~= RUN then return found end
  local from = '-'
  while true do
    local page = call('XRANGE', '@log@' .. c, from, '+', 'COUNT', 64)
    for _, entry in ipairs(page) do
      local record = entry[2][2]
      local kind, task = string.match(record, '^(%u)\t([^\t]+)')
      if task == t and (kind == 'E' or kind == 'F') then found[#found + 1] = {kind, record} end
    end
    if #page < 64 then return found end
    from = '(' .. page[64][1]
  end
end

-- Tells the readers of `old` that `new` has the task now. They hear nothing more of it.
local function tell_moved(old, t, new)
  local id = t .. ':moved:' .. int(tick())
  local json = '{"eventId":"' .. id .. '","correlationId":"' .. t
    .. '","status":"REPLACED","message":"connection ' .. new
    .. ' has this task now","finalEvent":false,"timestamp":"' .. NOW .. '"}'
  call('ZADD', '@tasks@' .. old, 'XX', -1, t)
  recount(old)
  append(old, 'M\t' .. t .. '\tREPLACED\t' .. id .. '\t' .. json)
end

-- Makes a task belong to connection c, with everything it has logged so far. Where that is not all there, or
-- the task was here before, no order of offsets can tell the truth: c gets a new history.
local function attach(c, t)
  local old = home_of(t)
  if old == c then return end
  local _, off = history(c)
  local returning = call('ZSCORE', '@tasks@' .. c, t)
  local state = call('HMGET', '@state@' .. t, 'final', 'count')
  local ended, count = state[1] == '1', tonumber(state[2] or 0)
  local records = old and not returning and records_of(old, t) or {}
  local score, latest = 0, nil
  if returning or count > #records then
    latest = off + 1
    renew(c, latest)
    records = {}
    if ended then score = latest end
  end
  call('SET', '@alias@' .. t, c)
  call('ZADD', '@tasks@' .. c, int(score), t)
  call('HSET', '@meta@' .. c, 'had', 1)
  recount(c)
  tell(c, 'A\t' .. c .. '\t' .. t)
  for _, entry in ipairs(records) do
    latest = append(c, entry[2])
    if entry[1] == 'F' then call('ZADD', '@tasks@' .. c, int(latest), t) end
  end
  if latest and state[2] then call('HSET', '@state@' .. t, 'off', int(latest)) end
  keep_task(t)
  keep_connection(c)
  if old and not ended then tell_moved(old, t, c) end
end

-- Open tasks of a connection, -1 where it never had one.
local function open_tasks(c)
  if not call('HGET', '@meta@' .. c, 'had') then return -1 end
  return call('ZCOUNT', '@tasks@' .. c, 0, 0)
end

-- The tasks whose latest event here lies no later than offset `at`: task, final, record.
local function snapshot(c, at)
  local found = {}
  local members = call('ZRANGEBYSCORE', '@tasks@' .. c, 0, '+inf', 'WITHSCORES')
  for i = 1, #members, 2 do
    local t, score = members[i], tonumber(members[i + 1])
    local state = call('HMGET', '@state@' .. t, 'record', 'off')
    local latest = score > 0 and score or tonumber(state[2] or 0)
    if latest <= at then
      found[#found + 1] = t
      found[#found + 1] = score > 0 and 1 or 0
      found[#found + 1] = state[1] or ''
    end
  end
  return found
end

-- Entries after an offset that lies in the log: offset, record, offset, record ...
local function page(c, after, off, entries, bytes)
  local found, count, size = {}, 0, 0
  while count < entries and after < off do
    local part = call('XRANGE', '@log@' .. c, int(after + 1) .. '-0', '+', 'COUNT', math.min(32, entries - count))
    if #part == 0 then return found end
    for _, entry in ipairs(part) do
      local record = entry[2][2]
      local _, head = string.find(record, '^[^\t]*\t[^\t]*\t[^\t]*\t[^\t]*\t')
      size = size + #record - head
      -- The first always passes, or a large event would stop its reader for ever.
      if count > 0 and size > bytes then return found end
      count = count + 1
      after = after + 1
      found[#found + 1] = int(after)
      found[#found + 1] = record
    end
  end
  return found
end

-- Reads on from the start, or at a position, or from nowhere. Answers epoch, end, open tasks, the offset of a
-- reset (or -1), entries, snapshot.
local function read(c, from, epoch, offset, entries, bytes)
  local here, off = history(c)
  local first = off - call('XLEN', '@log@' .. c)
  local after, reset = 0, nil
  -- A reset tells how tasks stand. A stream of a user has none, so a reader who missed something is given what is left.
  local missed = string.find(c, ':', 1, true) and first or off
  if from == 'start' then
    if first > 0 then reset = first end
  elseif from == 'at' and epoch == here then
    after = tonumber(offset)
    if after > off then
      -- A position from the future: the log was rolled back, and this is no longer that history.
      here = renew(c, off)
      reset = off
    elseif after < first then
      reset = missed
    end
  elseif from == 'at' then
    reset = missed
  else
    reset = off
  end
  call('EXPIRE', '@meta@' .. c, @ttl@)
  if reset then return {here, int(off), open_tasks(c), int(reset), {}, snapshot(c, reset)} end
  return {here, int(off), open_tasks(c), '-1', page(c, after, off, tonumber(entries), tonumber(bytes)), {}}
end

-- The attached tasks: task, offset of its final or 0 ...
local function attached(c) return call('ZRANGEBYSCORE', '@tasks@' .. c, 0, '+inf', 'WITHSCORES') end

-- Whether a pod may hold streams.
local function refusal(pod)
  if call('EXISTS', '@dead@' .. pod) == 1 then return 'buried' end
  if call('EXISTS', '@health@' .. pod) == 0 then return 'nohealth' end
end

-- Makes a pod the holder; answers who was it before.
local function hold(c, pod, cluster)
  local before = call('GET', '@connections@' .. c)
  local old = before and pod_of(before)
  if old and old ~= pod then call('SREM', '@held@' .. old, c) end
  call('SET', '@connections@' .. c, pod .. ':' .. cluster, 'EX', @ttl@)
  call('SADD', '@held@' .. pod, c)
  call('EXPIRE', '@held@' .. pod, @ttl@)
  return old
end

-- Ends a registration. The generation rises by one, so that no re-assertion on its way revives it, and by no
-- more: after a roll-back a newer holder may not have re-asserted yet, and it must still win.
local function let_go(c, generation)
  local holder = call('GET', '@connections@' .. c)
  if holder then
    call('DEL', '@connections@' .. c)
    call('SREM', '@held@' .. pod_of(holder), c)
  end
  call('HSET', '@meta@' .. c, 'gen', int(generation + 1))
end

-- Tells a pod that would run more that there is something to run, the one that accepted it where that has room. Who was
-- told once is told again only after it asked: so one task wakes one pod.
local function wake(cluster, acceptor)
  local idle = '@idle@' .. cluster
  local pod = call('SREM', idle, acceptor) == 1 and acceptor
  while true do
    pod = pod or call('SPOP', idle)
    if not pod then return end
    if call('EXISTS', '@health@' .. pod) == 1 then
      call('PUBLISH', '@channel@' .. pod, 'J\t')
      return
    end
    pod = nil
  end
end

-- Writes down that a task was accepted. ARGV[3..11]: task, connection, cluster, kind, fingerprint, accepted at, pod,
-- trace, body.
local function accept()
  local t, cluster = ARGV[3], ARGV[5]
  local index = '@accepted@' .. cluster
  local newest = call('ZREVRANGE', index, 0, 0, 'WITHSCORES')
  local sequence = int(math.max(tick(), tonumber(newest[2] or 0) + 1))
  call('ZADD', index, sequence, t)
  call('HSET', '@state@' .. t, 'cluster', cluster, 'fingerprint', ARGV[7], 'connection', ARGV[4], 'kind', ARGV[6],
    'at', ARGV[8], 'acceptor', ARGV[9], 'trace', ARGV[10], 'sequence', sequence)
  -- Somebody else may have ended it before it was accepted.
  if call('HGET', '@state@' .. t, 'final') ~= '1' then call('SET', '@body@' .. t, ARGV[11]) end
  -- The index outlives its tasks; what they leave in it is taken out here, faster than it comes.
  call('EXPIRE', index, 7 * @ttl@)
  for _, old in ipairs(call('ZRANGE', index, 0, 1)) do
    if call('EXISTS', '@state@' .. old) == 0 then call('ZREM', index, old) end
  end
end

-- Lets an accepted task that has not ended wait for a runner, at its place in time.
local function enqueue(t)
  local state = call('HMGET', '@state@' .. t, 'cluster', 'sequence', 'final', 'acceptor')
  if not state[1] or state[3] == '1' then return false end
  call('HDEL', '@state@' .. t, 'pod')
  call('ZADD', '@waiting@' .. state[1], state[2], t)
  keep_task(t)
  wake(state[1], state[4])
  return true
end

-- Goes on with a run of a task, under whatever id its process has now; false where it has ended or a later one began.
local function go_on(t, pod, attempt)
  local state = call('HMGET', '@state@' .. t, 'cluster', 'final', 'attempt', 'pod')
  if state[2] == '1' or tonumber(state[3] or 0) > tonumber(attempt) then return false end
  if state[4] ~= pod or state[3] ~= attempt then
    if state[4] then call('SREM', '@claims@' .. state[4], t) end
    call('ZREM', '@waiting@' .. state[1], t)
    call('HSET', '@state@' .. t, 'pod', pod, 'attempt', attempt)
    call('SADD', '@claims@' .. pod, t)
  end
  keep_task(t)
  return true
end
