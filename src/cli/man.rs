//! `man`: the manual, a page a command, made from the commands themselves.

use std::fs::write;
use std::io;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;

use super::output::{count, say, say_raw};
use super::{CommandError, NAME, tree};

/// Options of `man`.
#[derive(clap::Args)]
#[command(after_help = "To read it: revocation-worker man | man -l -")]
pub(super) struct Args {
    /// Write a file a page to this directory, such as revocation-worker-status.1 [default: all pages to
    /// standard output]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<(), CommandError> {
    let mut pages = Vec::new();
    let mut tree = tree().disable_help_subcommand(true);
    tree.build();
    render(&tree, &mut pages).map_err(CommandError::failed)?;
    match &args.dir {
        None => pages.iter().for_each(|(_, page)| say_raw(page)),
        Some(dir) => {
            pages.iter().try_for_each(|(name, page)| keep(dir, name, page))?;
            say(format_args!("{} written to {}", count(pages.len(), "page"), dir.display()));
        }
    }
    Ok(())
}

/// The page of a command, then those of its own commands.
fn render(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let (mut page, man) = (Vec::new(), Man::new(command.clone()).source(source()));
    man.render(&mut page)?;
    pages.push((man.get_filename(), page));
    command.get_subcommands().filter(|command| !command.is_hide_set()).try_for_each(|own| render(own, pages))
}

fn source() -> String {
    format!("{NAME} {}", crate::VERSION)
}

fn keep(dir: &Path, name: &str, page: &[u8]) -> Result<(), CommandError> {
    let path = dir.join(name);
    write(&path, page).map_err(|error| {
        CommandError::failed(format!(
            "write {}: {error}; --dir takes a directory that is there",
            path.display()
        ))
    })
}
