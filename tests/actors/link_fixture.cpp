#include "tests/actors/link_fixture.hpp"

#include <fmt/format.h>

namespace cairn {

namespace {

template <class Reply>
auto never_answer(storage_node_actor::pointer self) {
  return [=](const auto&) { return self->make_response_promise<Reply>(); };
}

caf::result<status_reply> answer_status(storage_node_actor::pointer self, node_script& script,
                                        const get_status& question) {
  ++script.requests;
  status_reply reply;
  reply.env = question.env;
  if (script.answers)
    return reply;
  auto promise = self->make_response_promise<status_reply>();
  script.held.push_back(promise);
  return promise;
}

} // namespace

storage_node_actor::behavior_type linked_node_stub(storage_node_actor::pointer self, node_script* script) {
  const auto archive = [=](const auto&) { return self->make_response_promise<archive_reply>(); };
  const auto list = [=](const auto&) { return self->make_response_promise<list_reply>(); };
  return {
    [=](const hello& m) -> caf::result<hello_reply> {
      script->hellos.push_back(m);
      script->clients.push_back(caf::actor_cast<caf::actor_addr>(self->current_sender()));
      if (script->greets)
        return script->welcome;
      return self->make_response_promise<hello_reply>();
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
    [=](const list_versions& m) { return list(m); },
    [=](const list_keys& m) { return list(m); },
    [=](const list_handoffs&) { return self->make_response_promise<handoff_reply>(); },
    [=](const list_nodes&) { return self->make_response_promise<nodes_reply>(); },
    [=](const retrieve_start&) { return self->make_response_promise<retrieve_reply>(); },
    [=](const retrieve_next&) { return self->make_response_promise<retrieve_reply>(); },
    [=](const lookup&) { return self->make_response_promise<lookup_reply>(); },
    [=](const get_status& m) { return answer_status(self, *script, m); },
    [=](const heartbeat& m) -> caf::result<heartbeat> {
      if (std::exchange(script->releases, false))
        for (auto& promise : std::exchange(script->held, {}))
          promise.deliver(status_reply{});
      if (script->beats)
        return m;
      return self->make_response_promise<heartbeat>();
    },
  };
}

host_actor::behavior_type linked_host_stub(host_actor::pointer self, host_script* script) {
  return {
    [=](const find_node& m) -> caf::result<found_node> {
      script->questions.push_back(m);
      if (script->finds)
        return script->found;
      return self->make_response_promise<found_node>();
    },
    [=](const list_hosted&) { return self->make_response_promise<hosted_nodes>(); },
    [=](const heartbeat& m) -> caf::result<heartbeat> {
      if (script->beats)
        return m;
      return self->make_response_promise<heartbeat>();
    },
  };
}

link_fixture::link_fixture() {
  network.host = spawn(linked_host_stub, &host);
  node_handle = start_node(node, 11);
}

storage_node_actor link_fixture::start_node(node_script& script, std::int32_t shard) {
  script.welcome.cluster = "cluster";
  script.welcome.node = "node-1";
  script.welcome.ids.shard = shard_number{shard};
  host.found.node = spawn(linked_node_stub, &script);
  return host.found.node;
}

link_options link_fixture::options() {
  link_options out;
  out.network.connect = [this](std::chrono::milliseconds limit) -> result<connected_host> {
    EXPECT_EQ(limit, connect_timeout);
    network.attempts.push_back(now());
    if (!network.is_reachable)
      return fail(errc::not_found, "no road");
    return connected_host{network.host, {}, network.attempts.size()};
  };
  out.network.cut = [this](std::uint64_t connection) { network.cuts.push_back(connection); };
  out.node_name = "node-1";
  out.greeting.client_tag = "tag";
  out.connect_timeout = connect_timeout;
  out.request_timeout = request_timeout;
  out.heartbeat_interval = interval;
  out.host_timeout = host_timeout;
  out.retry = {std::chrono::milliseconds{100}, std::chrono::milliseconds{1'600}};
  out.retry_seed = retry_seed;
  out.use_threads = false;
  return out;
}

void link_fixture::start_link() {
  link = spawn(node_link, options());
  subscribe(events);
  run();
}

caf::actor link_fixture::subscribe(std::vector<std::string>& into) {
  auto subscriber = spawn(
    [](caf::event_based_actor*, std::vector<std::string>* told) -> caf::behavior {
      return {
        [=](const link_connected& m) {
          told->push_back(fmt::format("connected {}", m.hello.ids.shard.value));
        },
        [=](const link_lost& m) {
          told->push_back(fmt::format("lost {} {}", static_cast<int>(m.what), m.why));
        },
      };
    },
    &into);
  caf::send_as(subscriber, link, subscribe_link{});
  return subscriber;
}

pending_outcome<status_reply> link_fixture::ask_status() {
  auto out = ask<status_reply>(link, get_status{});
  run();
  return out;
}

void link_fixture::release(node_script& script, const storage_node_actor& of) {
  script.releases = true;
  caf::send_as(client, of, heartbeat{});
  run();
}

void link_fixture::step(std::chrono::milliseconds time) {
  constexpr std::chrono::milliseconds one{10};
  for (auto passed = std::chrono::milliseconds{0}; passed < time; passed += one)
    pass(one);
}

} // namespace cairn
