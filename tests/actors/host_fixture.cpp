#include "tests/actors/host_fixture.hpp"

#include "actors/wire_types.hpp"

#include <unistd.h>

namespace cairn {

namespace {

template <class Reply, class Message>
Reply answer_to(const Message& message) {
  Reply reply;
  reply.env = message.env;
  return reply;
}

node_owner_actor::behavior_type behave(node_owner_actor::pointer self, stub_node* node) {
  const auto archive = [=](const auto& m) {
    node->archives.push_back(m.env.message_id);
    return answer_to<archive_reply>(m);
  };
  return {
    [=](const hello&) {
      hello_reply reply;
      reply.node = node->settings.node_name;
      return reply;
    },
    [=](const archive_key_entire& m) { return archive(m); },
    [=](const archive_key_start& m) { return archive(m); },
    [=](const archive_key_next& m) { return archive(m); },
    [=](const archive_key_final& m) { return archive(m); },
    [=](const archive_key_cancel& m) { return archive(m); },
    [=](const destroy_key& m) { return archive(m); },
    [=](const start_conjoined_archive& m) { return archive(m); },
    [=](const abort_conjoined_archive& m) { return archive(m); },
    [=](const finish_conjoined_archive& m) { return archive(m); },
    [=](const gateway_start& m) { return archive(m); },
    [=](const purge& m) { return archive(m); },
    [=](const add_node& m) { return archive(m); },
    [=](const sync_value_file& m) { return archive(m); },
    [](const list_versions& m) { return answer_to<list_reply>(m); },
    [](const list_handoffs& m) { return answer_to<handoff_reply>(m); },
    [](const list_nodes& m) { return answer_to<nodes_reply>(m); },
    [](const retrieve_start& m) { return answer_to<retrieve_reply>(m); },
    [](const retrieve_next& m) { return answer_to<retrieve_reply>(m); },
    [](const lookup& m) { return answer_to<lookup_reply>(m); },
    [](const list_keys& m) { return answer_to<list_reply>(m); },
    [=](const get_status& m) {
      auto reply = answer_to<status_reply>(m);
      reply.node = node->settings.node_name;
      return reply;
    },
    [=](const heartbeat& m) {
      if (const auto act = std::exchange(node->act, nullptr))
        act();
      return heartbeat{m.number + 1'000}; // shows that it was here
    },
    [=](await_ready) -> caf::result<readiness> {
      ++node->asked_ready;
      auto promise = self->make_response_promise<readiness>();
      node->awaiting_ready.push_back(promise);
      return promise;
    },
    [=](stop_node) -> caf::result<node_stopped> {
      ++node->asked_stop;
      auto promise = self->make_response_promise<node_stopped>();
      node->stopping = promise;
      return promise;
    },
    [](interval_tick) {},
  };
}

} // namespace

host_fixture::host_fixture() {
  std::string name = std::filesystem::temp_directory_path() / "cairn-host-XXXXXX";
  base = std::filesystem::canonical(::mkdtemp(name.data()));
  std::filesystem::create_directory(base / "spawned");
  add_wire_types(config);
  options.rules.cluster = "trial";
  options.rules.root = base / "spawned";
  options.gate = gate;
  options.make_node = [this](caf::actor_system& in, storage_node_options of_node) {
    auto& node = nodes.emplace_back();
    node.settings = std::move(of_node.settings);
    node.actor = own(in.spawn(behave, &node));
    return node.actor;
  };
}

host_fixture::~host_fixture() { std::filesystem::remove_all(base); }

host_owner_actor host_fixture::host() {
  if (!host_) {
    if (options.gate)
      allow_remote_spawn(config, gate);
    host_ = spawn(node_host, options);
    run();
  }
  return host_;
}

spawned_node_actor host_fixture::spawn_one() {
  host();
  auto spawned = system.spawn<spawned_node_actor>(spawned_node_type, caf::make_message());
  EXPECT_TRUE(spawned);
  run();
  return own(*spawned);
}

start_node host_fixture::start_of(std::int32_t number) const {
  start_node message;
  message.name = "node-" + std::to_string(number);
  message.node = node_id{number};
  message.root = message.name;
  return message;
}

pending_outcome<node_started> host_fixture::start(const caf::actor& coordinator,
                                                  const spawned_node_actor& handle, start_node message) {
  auto out = ask<node_started>(coordinator, handle, std::move(message));
  run();
  return out;
}

spawned_node_actor host_fixture::started(const caf::actor& coordinator, start_node message) {
  auto handle = spawn_one();
  const auto out = start(coordinator, handle, std::move(message));
  make_ready(nodes.back());
  EXPECT_TRUE(out->reply);
  EXPECT_EQ(out->reply->result, errc::success) << out->reply->error_message;
  return handle;
}

void host_fixture::as(stub_node& node, std::function<void()> act) {
  node.act = std::move(act);
  caf::anon_send(node.actor, heartbeat{});
  run();
}

void host_fixture::make_ready(stub_node& node) {
  as(node, [&] {
    for (auto& promise : std::exchange(node.awaiting_ready, {}))
      promise.deliver(readiness{});
  });
}

void host_fixture::fail_start(stub_node& node, errc code, const std::string& why) {
  as(node, [&] {
    for (auto& promise : std::exchange(node.awaiting_ready, {}))
      promise.deliver(readiness{code, why, {}});
  });
  caf::anon_send_exit(node.actor, caf::exit_reason::user_shutdown);
  run();
}

void host_fixture::finish_stop(stub_node& node, std::int64_t lost) {
  as(node, [&] { node.stopping.deliver(node_stopped{lost}); });
  caf::anon_send_exit(node.actor, caf::exit_reason::user_shutdown);
  run();
}

} // namespace cairn
