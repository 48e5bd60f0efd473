-- Writes down how a sweep went. ARGV: run, now, cluster, token, note
if comes_too_late(ARGV[3], ARGV[4]) then return 'late' end
call('HSET', '@sweep@' .. ARGV[3], 'note', ARGV[5])
call('EXPIRE', '@sweep@' .. ARGV[3], @ttl@)
return 'done'
