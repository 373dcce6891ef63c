/// cairn-faulty-host: cairnd over a disk that fails when a test says so.
///   cairn-faulty-host FAULTS-FILE [cairnd's options]
/// The file is memory shared with the test (disk_faults). Not for data that anyone wants back.

#include "net/cairnd.hpp"
#include "tests/harness/faulty_disk.hpp"
#include "tests/harness/program.hpp"

#include <fmt/format.h>

int main(int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') {
    fmt::print(stderr, "usage: cairn-faulty-host FAULTS-FILE [options of cairnd]\n");
    return 1;
  }
  try {
    const cairn::harness::disk_faults faults(argv[1]);
    cairn::harness::faulty_disk disk(cairn::real_disk(), faults);
    argv[1] = argv[0];
    return cairn::run_cairnd(argc - 1, argv + 1, &disk);
  } catch (const cairn::harness::harness_error& error) {
    fmt::print(stderr, "cairn-faulty-host: {}\n", error.what());
    return 1;
  }
}
