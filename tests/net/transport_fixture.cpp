#include "tests/net/transport_fixture.hpp"

#include "tests/harness/program.hpp"

#include <utility>

#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

namespace cairn {

using namespace std::chrono_literals;

namespace {

struct keeper_state {
  keeper_state() = default;
  std::vector<std::pair<caf::typed_response_promise<archive_reply>, archive_key_entire>> kept;
};

keeper_actor::behavior_type keeper(keeper_actor::stateful_pointer<keeper_state> self,
                                   std::shared_ptr<keeper_board> board) {
  return {
    [=](archive_key_entire& m) -> caf::result<archive_reply> {
      auto promise = self->make_response_promise<archive_reply>();
      board->kept_bytes += m.data.size();
      ++board->received;
      self->state.kept.emplace_back(promise, std::move(m));
      return promise;
    },
    [=](list_keys& m) {
      ++board->listed;
      list_reply reply;
      reply.env = std::move(m.env);
      reply.keys.resize(static_cast<std::size_t>(m.limit), {std::string(1000, 'k'), {}, {}, 0});
      return reply;
    },
    [=](sync_value_file& m) {
      for (auto& [promise, message] : std::exchange(self->state.kept, {})) {
        archive_reply reply;
        reply.env = std::move(message.env);
        promise.deliver(std::move(reply));
      }
      archive_reply reply;
      reply.env = std::move(m.env);
      return reply;
    },
  };
}

} // namespace

side::side(transport_options options) {
  auto made = transport::make(system, std::move(options));
  if (!made)
    throw harness::harness_error(made.error().message);
  wire = std::move(*made);
}

server_side::server_side(transport_options options, const std::string& host) : side(std::move(options)) {
  actor = system.spawn(keeper, board);
  const auto port =
    wire->listen({host, 0}, caf::actor_cast<caf::strong_actor_ptr>(actor), system.message_types(actor));
  if (!port)
    throw harness::harness_error(port.error().message);
  address = {host, *port};
}

server_side::~server_side() { caf::anon_send_exit(actor, caf::exit_reason::user_shutdown); }

result<keeper_actor> connect(side& from, const host_port& to, std::chrono::milliseconds limit) {
  auto peer = from.wire->connect(to, limit);
  if (!peer)
    return pass_failure(peer);
  return caf::actor_cast<keeper_actor>(std::move(peer->published));
}

bool serves(side& from, const keeper_actor& keeper) {
  caf::scoped_actor self(from.system);
  bool answered = false;
  self->request(keeper, 10s, sync_value_file{})
    .receive([&](const archive_reply&) { answered = true; }, [](const caf::error&) {});
  return answered;
}

bool lists(side& from, const keeper_actor& keeper) {
  caf::scoped_actor self(from.system);
  bool answered = false;
  self->request(keeper, 10s, list_keys{})
    .receive([&](const list_reply&) { answered = true; }, [](const caf::error&) {});
  return answered;
}

transport_options with_tls(const harness::certificate_files& files) {
  transport_options options;
  options.tls = {files.ca, files.certificate, files.key};
  return options;
}

archive_key_entire of_size(std::size_t bytes) {
  archive_key_entire message;
  message.data = payload::uninitialized(bytes);
  return message;
}

} // namespace cairn
