//! `completions`: what a shell needs to complete commands and options.

use clap_complete::{Shell, generate};

use super::output::say_raw;
use super::{NAME, tree};

/// Where a shell looks for it.
const HELP: &str = "\
bash: revocation-worker completions bash > ~/.local/share/bash-completion/completions/revocation-worker
zsh:  revocation-worker completions zsh > DIR/_revocation-worker, where DIR is one of $fpath
fish: revocation-worker completions fish > ~/.config/fish/completions/revocation-worker.fish";

/// Options of `completions`.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// Whose completion
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(args: &Args) {
    let mut script = Vec::new();
    generate(args.shell, &mut tree(), NAME, &mut script);
    say_raw(&script);
}
