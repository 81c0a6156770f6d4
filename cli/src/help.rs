//! What `--help` says beyond the options.

/// Of the whole program.
pub(crate) const WORMHOLE: &str = "\
Examples:
  wormhole send photo.jpg                  shows a code, as 7-crossover-clockwork
  wormhole receive 7-crossover-clockwork   on the other computer
  wormhole doctor                          where it does not work

`wormhole COMMAND --help` says more of each command. Settings may stand in files, see `wormhole man`.

Exit status: 0 done, 1 failed, 2 usage, 3 wrong code, 4 refused, 5 server, 6 the other side went away, 130 and 143
interrupted.";

/// Of `send`.
pub(crate) const SEND: &str = "\
Examples:
  wormhole send photo.jpg                  a file
  wormhole send holiday/                   a directory, with all that is in it
  wormhole send a.txt b.txt holiday/       several at once
  tar c x | wormhole send - --name x.tar   what another program makes
  wormhole send --text 'see you at 8'      a text
  date | wormhole send --text -            what another program says
  wormhole send --verify contract.pdf      after both have compared a verifier
  wormhole send --code-file code x.bin     with a code that was agreed on before";

/// Of `receive`.
pub(crate) const RECEIVE: &str = "\
Examples:
  wormhole receive                         asks for the code; the Tab key completes it
  wormhole receive 7-crossover-clockwork   with the code
  wormhole receive -o new-name CODE        under another name
  wormhole receive -o photos/ CODE         into a directory
  wormhole receive --accept-file -o - CODE | tar x
                                           to another program
  wormhole receive --accept-file CODE      without a question
  wormhole receive 'wormhole-transfer:7-crossover-clockwork?rendezvous=wss%3A%2F%2Fexample.com%2Fv1'
                                           from a link, as a QR code has it";

/// Of `ssh`.
pub(crate) const SSH: &str = "\
Examples:
  wormhole ssh invite                      on the computer that is to let somebody in: shows a code
  wormhole ssh accept 7-crossover-clockwork
                                           on the computer with the key
  wormhole ssh accept -F id_rsa.pub CODE   with this key";

/// Of `completions`.
pub(crate) const COMPLETIONS: &str = "\
Nameplates of senders who wait come from the mailbox server at each press of the Tab key, words from the lists.

Examples:
  bash        echo 'source <(wormhole completions bash)' >> ~/.bashrc
  zsh         echo 'source <(wormhole completions zsh)' >> ~/.zshrc
  fish        echo 'wormhole completions fish | source' >> ~/.config/fish/config.fish
  elvish      echo 'eval (wormhole completions elvish | slurp)' >> ~/.elvish/rc.elv
  powershell  echo 'wormhole completions powershell | Out-String | Invoke-Expression' >> $PROFILE";

/// Of `doctor`.
pub(crate) const DOCTOR: &str = "\
Each check is one line: `ok`, `FAIL` with advice, or `--` for what is neither. Nothing is sent to anybody but the servers.

Examples:
  wormhole doctor
  wormhole --relay-url wss://example.com/v1 doctor    another mailbox server
  wormhole doctor --json                              for programs";
