-- Says something to a user. ARGV: run, now, connection, cluster that must hold the stream ('' for any or none), request
-- that sends line by line ('' for none), its last line here, then for each event: id, whether the sender gave it,
-- record. Answers how many were logged, epoch and end of the log, and the holder or ''.
local c, cluster, request, last = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local holder = call('GET', '@connections@' .. c)
local epoch, off = history(c)
local elsewhere = cluster ~= '' and (not holder or cluster_of(holder) ~= cluster)
local done = request ~= '' and last <= tonumber(call('GET', '@lines@' .. request) or 0)
if elsewhere or done then return {0, epoch, int(off), holder or ''} end

local fresh, seen, named = {}, '@seen@' .. c, false
for i = 7, #ARGV, 3 do
  local by_sender = ARGV[i + 1] == '1'
  if not by_sender or not call('ZSCORE', seen, ARGV[i]) then
    fresh[#fresh + 1] = ARGV[i + 2]
    if by_sender then
      call('ZADD', seen, int(off + #fresh), ARGV[i])
      named = true
    end
  end
end
if named then
  call('ZREMRANGEBYRANK', seen, 0, -@named@ - 1)
  call('EXPIRE', seen, @ttl@)
end
if #fresh > 0 then
  -- As `append`, with what is the same for all of them asked once.
  local meta = '@meta@' .. c
  local keep = call('HGET', meta, 'keep') or @floor@
  local channel = holder and '@channel@' .. pod_of(holder)
  for _, record in ipairs(fresh) do
    off = off + 1
    local place = int(off)
    epoch = add(c, epoch, keep, off, record)
    if channel then call('PUBLISH', channel, 'E\t' .. c .. '\t' .. epoch .. '\t' .. place .. '\t' .. record) end
  end
  call('HSET', meta, 'off', int(off))
end
if request ~= '' then call('SET', '@lines@' .. request, ARGV[6], 'EX', @lines_remembered@) end
keep_connection(c)
return {#fresh, epoch, int(off), holder or ''}
