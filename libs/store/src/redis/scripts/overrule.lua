-- Puts a leader's own token in the place of one that nobody can have led under since. ARGV: run, now, cluster, token, what
-- is expected to stand there
local key = '@fence@' .. ARGV[3]
if call('GET', key) ~= ARGV[5] then return 'changed' end
call('SET', key, ARGV[4], 'EX', @fence_life@)
return 'done'
