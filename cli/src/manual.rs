//! The manual pages, made from the command line.

use std::io::{self, Write};

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::arguments::Arguments;
use crate::failure::Failure;

/// What no option says.
pub(crate) const MORE: &str = r#".SH ENVIRONMENT
.IP WORMHOLE_RELAY_URL
The mailbox server, as \fB\-\-relay\-url\fR.
.IP WORMHOLE_TRANSIT_HELPER
The transit relay, as \fB\-\-transit\-helper\fR; empty for the default.
.IP WORMHOLE_PROXY
The proxy, as \fB\-\-proxy\fR.
.IP WORMHOLE_CODE
The code, where the command line has none.
.IP WORMHOLE_ACCEPT_FILE
Set, files and directories are taken without a question.
.IP WORMHOLE_QR
Whether a QR code is shown: true, false, or nothing for where it fits.
.IP WORMHOLE_CONFIG
The user's file of settings; nothing, for none.
.IP NO_COLOR
Set, no colours are used.
.SH FILES
.IP "$XDG_CONFIG_HOME/wormhole/config.toml, ~/.config/wormhole/config.toml"
The user's settings.
.IP "/etc/xdg/wormhole/config.toml"
The system's settings, or wherever XDG_CONFIG_DIRS leads.
.PP
Keys are the names of options: relay\-url, transit\-helper, appid, listen, hide\-progress, quiet, verify and code\-length; in a
table [send] qr and copy; in a table [receive] accept\-file, output\-file and on\-conflict. An option goes before a variable of
the environment, that before the user's file, and that before the system's.
.SH EXIT STATUS
.IP 0
Done.
.IP 1
It failed; the message says why.
.IP 2
The command line, the environment or a file of settings cannot be used.
.IP 3
The codes of the two sides differ.
.IP 4
The other side, or this one, refused.
.IP 5
The mailbox server does not do its part.
.IP 6
The other side went away.
.IP "130, 143"
Ended by SIGINT (Ctrl\-C) or SIGTERM.
"#;

/// Writes the page of a command, or of the whole program.
pub(crate) fn write(of: Option<&str>) -> Result<(), Failure> {
    let mut whole = Arguments::command();
    whole.build();
    let command = match of {
        None => whole,
        Some(name) => match whole.find_subcommand(name) {
            // Its own name alone would be that of another program.
            Some(command) => renamed(command.clone()),
            None => return Err(Failure::Usage(format!("there is no command '{name}'"))),
        },
    };
    let mut page = Vec::new();
    let more = if of.is_none() { MORE } else { "" };
    let written = Man::new(command).render(&mut page).and_then(|()| page.write_all(more.as_bytes()));
    let mut output = io::stdout().lock();
    written
        .and_then(|()| output.write_all(&page))
        .and_then(|()| output.flush())
        .map_err(|error| Failure::Here(format!("the page cannot be written: {error}")))
}

fn renamed(command: Command) -> Command {
    let name = format!("wormhole-{}", command.get_name());
    command.display_name(name.clone()).name(name)
}
