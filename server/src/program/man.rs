//! The manual page, made from the command line and from what is said here.

use std::io;

use clap::Command;
use clap_mangen::Man;

/// What no flag says.
const MORE: &str = r#".SH OUTPUT
Each address at which it listens is one line on standard output, the setting and the place, as
.IR "mailbox 127.0.0.1:4000" ;
a port that was 0 is told as it is. Then comes the line
.IR ready .
Nothing else is ever written there. The log goes to standard error; at the level info it holds nothing of a client: no
address, code, nameplate or mailbox.
.SH SETTINGS
Every setting is a flag, a variable of the environment and a key in the TOML file named by \fB\-\-config\fR. The flag goes
before the variable, and that before the file. A list is an array in the file, and stands between commas in a variable. What
is no setting is refused, with its line.
.B check\-config
prints all of them with their origin, in the form of such a file.
.SH PLACES
.IP HOST:PORT
A name or an address, IPv6 in brackets. Without a host it is every address of both families; port 0 is any that is free.
.IP unix:PATH
A Unix socket. One that nobody listens at any more is replaced; anything else at that path is left alone. It gets its rights
from the umask.
.IP fd:NAME
The sockets that systemd passes with FileDescriptorName=NAME.
.PP
Before a place may stand
.B proxy:
where each connection begins with a PROXY header of version 1 or 2, which only a trusted proxy may send, and then
.B tls:
where TLS follows.
.SH SIGNALS
.IP "SIGTERM, SIGINT"
Lets nobody in any more, waits for sessions to end by themselves as long as \fB\-\-drain\-limit\fR says, and closes the rest,
WebSockets with the code 1012. A second signal ends it at once.
.IP SIGHUP
Reads the certificate, \fB\-\-motd\fR, \fB\-\-signal\-error\fR and \fB\-\-advertise\-version\fR again, the latter three from the file.
.SH EXIT STATUS
.IP 0
It ended as it was told to.
.IP 1
A socket, a certificate or a server has failed; the log says which.
.IP 2
The command line, the environment or the file cannot be used; the message says where.
"#;

/// Writes the page.
pub(crate) fn write(command: Command, out: &mut impl io::Write) -> io::Result<()> {
    Man::new(command).render(out)?;
    out.write_all(MORE.as_bytes())
}
