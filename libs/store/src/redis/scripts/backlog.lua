-- What waits and runs in a cluster. ARGV: run, now, cluster. Answers how many wait, for how many microseconds the
-- oldest does, and how many are claimed.
local cluster = ARGV[3]
local oldest = call('ZRANGE', '@waiting@' .. cluster, 0, 0, 'WITHSCORES')[2]
local claimed = 0
for _, pod in ipairs(call('ZRANGE', '@nodes@' .. cluster, 0, -1)) do
  claimed = claimed + call('SCARD', '@claims@' .. pod)
end
return {call('ZCARD', '@waiting@' .. cluster), oldest and int(math.max(0, tick() - oldest)) or '', claimed}
