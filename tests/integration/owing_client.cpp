/// A client to be killed: owing_client HOST:PORT COUNT sends COUNT archives, says "sent", and never looks at
/// a reply.

#include "tests/harness/archives.hpp"
#include "tests/harness/coordinator.hpp"

#include <cstdlib>

#include <caf/actor_system.hpp>
#include <fmt/format.h>
#include <unistd.h>

int main(int argc, char** argv) {
  using namespace cairn;
  const auto address = parse_address(argc == 3 ? argv[1] : "");
  if (!address)
    return 2;
  const auto net = harness::open_network();
  auto node = client::connect(net->wire(), *address);
  if (!node)
    return 1;
  std::vector<pending_reply<archive_reply>> never_called;
  for (int i = 0; i < std::atoi(argv[2]); ++i)
    never_called.push_back((*node)->send<archive_reply>(
      harness::entire_of(harness::make_object(**node, fmt::format("owed/{}", i), {20'000}))));
  // The node has all of them when it has answered this, which is behind them.
  if (!(*node)->call<status_reply>(get_status{}))
    return 1;
  fmt::print("sent\n");
  std::fflush(stdout);
  ::pause();
  return 0;
}
