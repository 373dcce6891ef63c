/// A node inside this program, spoken to without sockets: archives an object and reads it back.

#include "tests/harness/archives.hpp"
#include "tests/harness/local_node.hpp"

#include <cstdio>

int main() {
  using namespace cairn::harness;
  local_node node;
  const auto client = node.attach();
  const auto object = make_object(*client, "embedded", {300'000, 20'000});
  const auto archived = archive(*client, object);
  if (archived.result != cairn::errc::success) {
    std::fprintf(stderr, "archive: %s\n", archived.error_message.c_str());
    return 1;
  }
  if (retrieve(*client, "embedded").bytes != content_of(object)) {
    std::fprintf(stderr, "what came back is not what was stored\n");
    return 1;
  }
  std::puts("embedded node: archived and read back");
  return 0;
}
