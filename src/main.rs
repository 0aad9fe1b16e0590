//! The binary: everything is in the library, but for the allocator, which only a program may choose.

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    revocation_worker::cli::main()
}
