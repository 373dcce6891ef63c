/// An empty host process and a node spawned in it, spoken to through its typed handle: archives an object in
/// one message and reads it back.

#include "tests/harness/archives.hpp"
#include "tests/harness/coordinator.hpp"

#include <cstdio>

#include <caf/scoped_actor.hpp>

namespace {

/// Asks the node itself, as an actor does. @throws harness_error when no reply comes
template <class Reply, class Request>
Reply ask_node(caf::scoped_actor& self, const cairn::spawned_node_actor& node, Request request) {
  Reply out;
  self->request(node, std::chrono::minutes{1}, std::move(request))
    .receive(
      [&](Reply& reply) { out = std::move(reply); },
      [&](const caf::error& error) { throw cairn::harness::harness_error(self->system().render(error)); });
  return out;
}

} // namespace

int main() {
  using namespace cairn::harness;
  host_process host({.has_node = false, .remote_spawn = true});
  coordinator gateway(host);
  const auto node = gateway.spawn_node("node-7");
  const auto client = node.attach();
  const auto object = make_object(*client, "remote", {50'000});

  caf::scoped_actor self(gateway.system());
  cairn::hello greeting;
  if (ask_node<cairn::hello_reply>(self, node.handle(), greeting).result != cairn::errc::success)
    return 1;
  const auto archived = ask_node<cairn::archive_reply>(self, node.handle(), entire_of(object));
  if (archived.result != cairn::errc::success) {
    std::fprintf(stderr, "archive: %s\n", archived.error_message.c_str());
    return 1;
  }
  cairn::retrieve_start question;
  question.segment = object.key();
  const auto back = ask_node<cairn::retrieve_reply>(self, node.handle(), question);
  if (back.result != cairn::errc::success || back.sequence.info != describe(object.sequences[0], 0)) {
    std::fprintf(stderr, "what came back is not what was stored: %s\n", back.error_message.c_str());
    return 1;
  }
  std::puts("remote node: archived and read back through its handle");
  return 0;
}
