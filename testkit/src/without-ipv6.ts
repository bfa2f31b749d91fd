/**
 * Has the kernel refuse IPv6 sockets with EAFNOSUPPORT, as one that was built without IPv6 does, by a seccomp filter (seccomp(2)) that the
 * program inherits. Perl is part of every Debian system and can make the two system calls.
 */
const FILTER = `
my ($socket, $prctl) = \`uname -m\` =~ /aarch64/ ? (198, 167) : (41, 157);
my @filter = ([0x20, 0, 0, 0], [0x15, 0, 3, $socket], [0x20, 0, 0, 16], [0x15, 0, 1, 10], [0x06, 0, 0, 0x50000 | 97], [0x06, 0, 0, 0x7fff0000]);
my $code = join '', map { pack "SC2L", @$_ } @filter;
my $program = pack 'Sx6P', scalar @filter, $code;
syscall($prctl, 38, 1, 0, 0, 0) == 0 or die "prctl: $!";
syscall($prctl, 22, 2, $program, 0, 0) == 0 or die "seccomp: $!";
exec { $ARGV[0] } @ARGV or die "$ARGV[0]: $!";
`;

/** The command line that runs `argv` on a machine without IPv6. */
export function withoutIpv6(argv: readonly string[]): [program: string, ...args: string[]] {
  return ['perl', '-e', FILTER, ...argv];
}
