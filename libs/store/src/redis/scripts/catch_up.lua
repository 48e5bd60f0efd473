-- ARGV: run, now, connection, epoch, offset, entries, bytes
return read(ARGV[3], 'at', ARGV[4], ARGV[5], ARGV[6], ARGV[7])
