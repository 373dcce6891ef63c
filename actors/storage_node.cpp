#include "actors/storage_node.hpp"

#include "actors/digester.hpp"
#include "actors/faults.hpp"
#include "actors/node_db.hpp"
#include "actors/node_status.hpp"
#include "actors/opener.hpp"
#include "actors/reader.hpp"
#include "actors/reply.hpp"
#include "actors/sync_timer.hpp"
#include "actors/value_file.hpp"
#include "actors/writer.hpp"
#include "core/utf8.hpp"
#include "core/version.hpp"

#include <random>

#include <caf/send.hpp>
#include <fmt/format.h>

namespace cairn {

namespace {

using self_pointer = node_owner_actor::stateful_pointer<storage_node_state>;
using role = storage_node_state::role;

const char* to_string(role as) {
  switch (as) {
    case role::opener: return "opener";
    case role::writer: return "writer";
    case role::value_file: return "value_file";
    case role::node_db: return "node_db";
    case role::sync_timer: return "sync_timer";
    case role::digester: return "digester";
    case role::reader: return "reader";
  }
  return "unknown";
}

/// @returns a child that is supervised
template <class Handle, class Factory, class... Args>
Handle spawn_child(self_pointer self, role as, bool blocks, Factory factory, Args&&... args) {
  auto& state = self->state;
  Handle child;
  if (blocks && state.options.use_threads)
    child = self->spawn<caf::detached + caf::monitored>(factory, std::forward<Args>(args)...);
  else
    child = self->spawn<caf::monitored>(factory, std::forward<Args>(args)...);
  state.children.emplace(child.address(), as);
  return child;
}

disk& value_file_disk(const storage_node_state& state) {
  return state.options.value_file_disk == nullptr ? real_disk() : *state.options.value_file_disk;
}

// --- opening ---

reader_actor spawn_reader(self_pointer self, std::size_t index) {
  const auto& state = self->state;
  reader_options options;
  options.value_file_disk = &value_file_disk(state);
  options.spaces_root = state.store->spaces_root();
  options.database = state.store->database_connection();
  options.nodes = state.nodes;
  options.vitals = state.vitals;
  options.limits = state.options.settings.limits;
  options.index = index;
  options.count = state.options.settings.reader_count;
  options.idle_limit = state.options.settings.idle_limit;
  return spawn_child<reader_actor>(self, role::reader, true, reader, std::move(options));
}

void spawn_write_path(self_pointer self, const std::shared_ptr<recovered_store>& recovered) {
  auto& state = self->state;
  const auto& settings = state.options.settings;
  writer_options options;
  options.machine.idle_limit = settings.idle_limit;
  options.machine.database_patience = settings.database_patience;
  options.machine.min_overlapping_round = settings.min_overlapping_round;
  options.vitals = state.vitals;
  state.writer =
    spawn_child<writer_actor>(self, role::writer, false, writer, std::move(options), recovered->machine);
  state.value_file = spawn_child<value_file_actor>(
    self, role::value_file, true, value_file,
    value_file_options{state.writer, [store = state.store] { return store->has_space(); }, state.vitals},
    recovered);
  node_db_options database_options;
  database_options.writer = state.writer;
  database_options.store = state.store;
  database_options.vitals = state.vitals;
  state.node_db =
    spawn_child<node_db_actor>(self, role::node_db, true, node_db, std::move(database_options), recovered);
  state.sync_timer = spawn_child<sync_timer_actor>(self, role::sync_timer, false, sync_timer, state.writer,
                                                   settings.sync_interval);
  state.digesters.clear();
  for (std::size_t i = 0; i < settings.digester_count; ++i)
    state.digesters.push_back(
      spawn_child<digester_actor>(self, role::digester, true, digester, state.writer));
  const auto neighbours = std::make_shared<writer_neighbours>(
    writer_neighbours{state.value_file, state.node_db, state.sync_timer, state.digesters});
  self->send(state.writer, connect_writer{neighbours});
}

void tell_sessions(self_pointer self) {
  for (const auto& [client, session] : self->state.sessions)
    self->send(session.reply, use_actors{self->state.writer, self->state.readers});
}

void answer_ready(self_pointer self, errc code, const std::string& message) {
  for (auto& promise : std::exchange(self->state.awaiting_ready, {}))
    promise.deliver(readiness{code, message, self->state.recovery});
}

/// Nothing of the node is left but this actor: says so and ends.
void conclude(self_pointer self) {
  auto& state = self->state;
  if (state.phase == node_phase::failed)
    answer_ready(self, state.failed.code, state.failed.message);
  if (state.stopping.pending())
    state.stopping.deliver(node_stopped{state.vitals->completions_waiting.load()});
  self->quit(*state.ending);
}

/// Ends all children and then the actor. Whoever hears of its end can take the directory at once.
void end_with_children(self_pointer self, caf::error reason) {
  auto& state = self->state;
  if (state.ending)
    return;
  state.ending = std::move(reason);
  state.store.reset(); // a child lets go of it last: that blocks while the database server stops
  for (const auto& [child, as] : state.children)
    self->send_exit(caf::actor_cast<caf::actor>(child), caf::exit_reason::user_shutdown);
  if (state.children.empty())
    conclude(self);
  else
    self->delayed_send(self, state.options.stop_timeout, interval_tick{});
}

void give_up(self_pointer self, const failure& why) {
  auto& state = self->state;
  if (state.awaiting_ready.empty()) // otherwise whoever started the node says so
    spdlog::error("node_failed code={} reason=\"{}\"", to_string(why.code), why.message);
  state.phase = node_phase::failed;
  state.waits_for = why.message;
  state.failed = why;
  end_with_children(self, caf::make_error(caf::sec::runtime_error, why.message));
}

/// A ready node tells all of itself at once; its actors start in their own time.
void publish_recovered(node_vitals& vitals, const recovered_store& recovered, bool has_space) {
  vitals.acknowledged_lsn = recovered.machine.position.value;
  vitals.value_file = recovered.log->current_file().value;
  vitals.value_file_bytes = recovered.log->current_size_bytes();
  vitals.has_space = has_space;
  vitals.set_database("connected");
}

/// Sessions and readers that outlive a write path have the node's directory, so it stays the same one.
void adopt_nodes(storage_node_state& state, const std::shared_ptr<node_directory>& recovered) {
  if (state.nodes) {
    for (const auto& node : recovered->all())
      state.nodes->add(node);
    return;
  }
  state.nodes = recovered;
  if (state.options.peers)
    state.options.peers->add(state.nodes);
}

void store_is_open(self_pointer self, const store_opened& opened) {
  auto& state = self->state;
  if (state.phase == node_phase::stopping)
    return;
  if (opened.why) {
    give_up(self, *opened.why);
    return;
  }
  state.store = opened.store;
  adopt_nodes(state, opened.recovered->nodes);
  state.recovery = opened.recovered->report;
  publish_recovered(*state.vitals, *opened.recovered, state.store->has_space());
  spawn_write_path(self, opened.recovered);
  if (state.readers.empty())
    for (std::size_t i = 0; i < state.options.settings.reader_count; ++i)
      state.readers.push_back(spawn_reader(self, i));
  tell_sessions(self);
  state.phase = node_phase::ready;
  state.waits_for.clear();
  const auto& r = state.recovery;
  spdlog::info("node_ready node={} value_files={} files_closed={} records_replayed={} segments_cancelled={} "
               "torn_bytes={} damaged_regions={}",
               state.options.settings.node_name, r.value_files, r.files_closed, r.records_replayed,
               r.segments_cancelled, r.torn_bytes, r.damaged_regions);
  answer_ready(self, errc::success, {});
}

void open(self_pointer self) {
  auto& state = self->state;
  state.waits_for = "recovery of log and database";
  // Recovery takes as long as it takes; a defect in it ends the opener, which is noticed.
  self->request(state.opener, caf::infinite, open_store{})
    .then(
      [=](const store_opened& opened) { store_is_open(self, opened); },
      [=](const caf::error& error) {
        give_up(self, {errc::internal_error, "the store cannot be opened: " + self->system().render(error)});
      });
}

// --- supervision ---

/// Takes the write path down. When it is gone, recovery makes a new one.
void rebuild_write_path(self_pointer self) {
  auto& state = self->state;
  state.phase = node_phase::starting;
  state.waits_for = "the failed write path to end";
  for (const auto& [client, session] : state.sessions)
    self->send(session.reply, write_path_lost{});
  for (const auto& [child, as] : state.children) {
    if (as == role::reader || as == role::opener)
      continue;
    state.dying.insert(child);
    self->send_exit(caf::actor_cast<caf::actor>(child), caf::exit_reason::user_shutdown);
  }
  if (state.dying.empty())
    open(self);
}

void child_failed(self_pointer self, role as, const caf::error& reason) {
  auto& state = self->state;
  const auto now = self->clock().now();
  ++state.restart_count;
  state.restarts.push_back(now);
  while (now - state.restarts.front() > state.options.restart_window)
    state.restarts.pop_front();
  spdlog::error("child_failed role={} reason=\"{}\" restarts={}", to_string(as),
                self->system().render(reason), state.restart_count);
  if (state.restarts.size() > state.options.max_restarts) {
    give_up(self, {errc::internal_error,
                   fmt::format("{} failures within {} s: a fault that repeats", state.restarts.size(),
                               state.options.restart_window.count() / 1000)});
    return;
  }
  if (as == role::reader) {
    for (std::size_t i = 0; i < state.readers.size(); ++i)
      if (!state.children.contains(state.readers[i].address()))
        state.readers[i] = spawn_reader(self, i);
    tell_sessions(self);
  } else if (as != role::opener && state.dying.empty()) {
    rebuild_write_path(self);
  }
}

void on_down(self_pointer self, const caf::down_msg& down) {
  auto& state = self->state;
  if (const auto child = state.children.find(down.source); child != state.children.end()) {
    const auto as = child->second;
    state.children.erase(child);
    if (state.ending && state.children.empty())
      conclude(self);
    if (state.phase == node_phase::stopping || state.phase == node_phase::failed)
      return;
    if (state.dying.erase(down.source) == 0)
      child_failed(self, as, down.reason);
    else if (state.dying.empty())
      open(self);
    return;
  }
  // A client went away, or its reply actor failed: either way the session ends, and nobody else notices.
  if (const auto ended = state.sessions.remove(down.source)) {
    spdlog::debug("client_gone client={}", ended->client);
    self->send_exit(ended->reply, caf::exit_reason::user_shutdown);
  }
}

// --- clients ---

reply_actor spawn_reply(self_pointer self, std::uint64_t client, const frame_charge& charge) {
  const auto& state = self->state;
  reply_options options;
  options.client = client;
  options.writer = state.writer;
  options.readers = state.readers;
  options.nodes = state.nodes;
  options.vitals = state.vitals;
  options.limits = state.options.settings.limits;
  options.request_timeout = state.options.settings.request_timeout;
  options.account = charge ? charge->account() : nullptr;
  return self->spawn<caf::monitored>(reply, std::move(options));
}

hello_reply greet(self_pointer self, const hello& message) {
  auto& state = self->state;
  const auto& settings = state.options.settings;
  hello_reply reply;
  reply.program_version = program_version;
  reply.cluster = settings.cluster_name;
  reply.node = settings.node_name;
  reply.limits = settings.limits;
  const auto refuse = [&](errc code, std::string why) {
    reply.result = code;
    reply.error_message = std::move(why);
    return reply;
  };
  if (message.version != wire_version)
    return refuse(errc::version_mismatch, fmt::format("client speaks wire version {}, this node speaks {}",
                                                      message.version, wire_version));
  if (!message.cluster.empty() && message.cluster != settings.cluster_name)
    return refuse(errc::version_mismatch, fmt::format("client asks for cluster {}, this node is of \"{}\"",
                                                      quoted(message.cluster), settings.cluster_name));
  if (auto checked = validate(message); !checked)
    return refuse(checked.error().code, std::move(checked.error().message));
  if (state.phase == node_phase::stopping)
    return refuse(errc::shutting_down, "the node is stopping");
  if (state.phase == node_phase::failed)
    return refuse(errc::shutting_down, "the node has failed: " + state.waits_for);
  if (!state.writer || !state.nodes)
    return refuse(errc::busy, "the node is starting, it waits for " + state.waits_for);
  const auto sender = self->current_sender();
  if (!sender)
    return refuse(errc::invalid_message, "hello needs a sender to answer to");

  const auto client = caf::actor_cast<caf::actor_addr>(sender);
  const auto* known = state.sessions.find(client);
  if (known == nullptr) {
    auto session = state.sessions.next();
    if (!session)
      return refuse(errc::busy, fmt::format("the node has {} clients, which is as many as it can give ids to",
                                            client_sessions::max_sessions));
    session->reply = spawn_reply(self, session->client, message.charge);
    self->monitor(client);
    spdlog::debug("client_hello client={} tag={}", session->client, quoted(message.client_tag));
    known = &state.sessions.add(client, std::move(*session));
  }
  reply.ids = known->ids;
  return reply;
}

/// Hands a client's message to its reply actor.
template <class Reply, class Message>
caf::result<Reply> route(self_pointer self, Message& message) {
  auto& state = self->state;
  const auto* session = state.sessions.find(caf::actor_cast<caf::actor_addr>(self->current_sender()));
  if (session != nullptr && state.phase != node_phase::starting && !state.ending)
    return self->delegate(session->reply, std::move(message));
  Reply refused;
  refused.env = std::move(message.env);
  if (session == nullptr) {
    refused.result = errc::version_mismatch;
    refused.error_message = "send hello first";
  } else if (state.ending) {
    refused.result = errc::shutting_down;
    refused.error_message = "the node is ending";
  } else {
    refused.result = errc::busy;
    refused.error_message = "the node is recovering, it waits for " + state.waits_for;
  }
  return refused;
}

// --- the end ---

void finish_stop(self_pointer self) {
  auto& state = self->state;
  const auto lost = state.vitals->completions_waiting.load();
  if (lost != 0)
    spdlog::warn("requests_lost count={} what=\"their clients were not told, they may have been stored\"",
                 lost);
  end_with_children(self, caf::exit_reason::normal);
}

void close_files(self_pointer self) {
  auto& state = self->state;
  const auto timeout = state.options.stop_timeout;
  const auto skip = [=](const char* step) {
    return [=](const caf::error& error) {
      spdlog::warn("stop_step_failed step={} reason=\"{}\" what=\"the next start recovers\"", step,
                   self->system().render(error));
      finish_stop(self);
    };
  };
  self->request(state.value_file, timeout, close_log{})
    .then(
      [=](const log_closed& closed) {
        finish_database finish;
        if (*closed.outcome) {
          const auto& file = **closed.outcome;
          if (!file.row)
            if (auto removed = self->state.store->remove_value_file(file.space, file.id); !removed)
              spdlog::warn("empty_value_file_not_removed reason=\"{}\"", removed.error().message);
          finish.closed = std::make_shared<value_log::close_outcome>(file);
        } else {
          spdlog::warn("value_file_not_closed reason=\"{}\" what=\"the next start does it\"",
                       closed.outcome->error().message);
        }
        self->request(self->state.node_db, timeout, finish)
          .then([=](database_finished) { finish_stop(self); }, skip("database"));
      },
      skip("value_file"));
}

caf::result<node_stopped> stop(self_pointer self) {
  auto& state = self->state;
  if (state.stopping.pending())
    return caf::sec::invalid_argument; // one stop is under way
  auto promise = self->make_response_promise<node_stopped>();
  state.stopping = promise;
  const auto was_ready = state.phase == node_phase::ready;
  state.phase = node_phase::stopping;
  answer_ready(self, errc::shutting_down, "the node was stopped");
  if (!was_ready) {
    state.vitals->completions_waiting = 0; // of a write path that was lost: they were answered
    finish_stop(self);
    return promise;
  }
  self->request(state.writer, state.options.stop_timeout, stop_writing{})
    .then([=](writing_stopped) { close_files(self); },
          [=](const caf::error& error) {
            spdlog::warn("stop_step_failed step=writer reason=\"{}\"", self->system().render(error));
            close_files(self);
          });
  return promise;
}

} // namespace

storage_node_state::~storage_node_state() {
  for (auto& promise : awaiting_ready)
    promise.deliver(readiness{errc::internal_error, "the node ended", recovery});
  if (stopping.pending())
    stopping.deliver(caf::make_error(caf::sec::runtime_error, "the node ended"));
  for (const auto& [child, as] : children)
    caf::anon_send_exit(child, caf::exit_reason::user_shutdown);
  for (const auto& [client, session] : sessions)
    // As a message like others: answers that are on their way to the client go first.
    caf::anon_send(caf::actor_cast<caf::actor>(session.reply),
                   caf::exit_msg{{}, caf::exit_reason::user_shutdown});
}

node_owner_actor::behavior_type storage_node(self_pointer self, storage_node_options options) {
  exit_on_exception(self);
  auto& state = self->state;
  state.options = std::move(options);
  state.started = self->clock().now();
  self->set_default_handler(caf::drop); // what is not in the interface is answered, not printed
  state.sessions = client_sessions(state.options.settings.id, std::random_device{}());
  self->set_down_handler([=](const caf::down_msg& down) { on_down(self, down); });
  state.waits_for = "its owner";
  return {
    [=](const hello& m) { return greet(self, m); },
    [=](archive_key_entire& m) { return route<archive_reply>(self, m); },
    [=](archive_key_start& m) { return route<archive_reply>(self, m); },
    [=](archive_key_next& m) { return route<archive_reply>(self, m); },
    [=](archive_key_final& m) { return route<archive_reply>(self, m); },
    [=](archive_key_cancel& m) { return route<archive_reply>(self, m); },
    [=](destroy_key& m) { return route<archive_reply>(self, m); },
    [=](start_conjoined_archive& m) { return route<archive_reply>(self, m); },
    [=](abort_conjoined_archive& m) { return route<archive_reply>(self, m); },
    [=](finish_conjoined_archive& m) { return route<archive_reply>(self, m); },
    [=](gateway_start& m) { return route<archive_reply>(self, m); },
    [=](purge& m) { return route<archive_reply>(self, m); },
    [=](add_node& m) { return route<archive_reply>(self, m); },
    [=](sync_value_file& m) { return route<archive_reply>(self, m); },
    [=](retrieve_start& m) { return route<retrieve_reply>(self, m); },
    [=](retrieve_next& m) { return route<retrieve_reply>(self, m); },
    [=](lookup& m) { return route<lookup_reply>(self, m); },
    [=](list_keys& m) { return route<list_reply>(self, m); },
    [=](list_versions& m) { return route<list_reply>(self, m); },
    [=](list_handoffs& m) { return route<handoff_reply>(self, m); },
    [=](list_nodes& m) { return route<nodes_reply>(self, m); },
    [=](const get_status& m) { return describe_node(self->state, m, self->clock().now()); },
    [](const heartbeat& m) { return m; },
    [=](await_ready) -> caf::result<readiness> {
      auto& s = self->state;
      if (s.phase == node_phase::ready)
        return readiness{errc::success, {}, s.recovery};
      auto promise = self->make_response_promise<readiness>();
      s.awaiting_ready.push_back(promise);
      if (!s.opener && s.phase == node_phase::starting) {
        s.opener = spawn_child<opener_actor>(self, role::opener, true, opener, &value_file_disk(s),
                                             s.options.settings);
        open(self);
      }
      return promise;
    },
    [=](stop_node) { return stop(self); },
    [=](interval_tick) {
      if (!self->state.ending)
        return;
      spdlog::warn(
        "stop_step_failed step=children left={} what=\"the next start may find the directory locked\"",
        self->state.children.size());
      conclude(self);
    },
  };
}

} // namespace cairn
