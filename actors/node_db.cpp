#include "actors/node_db.hpp"

#include "actors/faults.hpp"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace cairn {

namespace {

using self_pointer = node_db_actor::stateful_pointer<node_db_state>;

/// Sends the round's rows. @param expected where the database stands
result<void> send_rows(node_db_state& state, log_sequence_number expected) {
  node_database::round facts;
  facts.expected_position = expected;
  facts.new_position = state.job->new_position;
  facts.records = state.job->records;
  facts.file_rows = state.job->file_rows;
  facts.look_ups = state.job->look_ups;
  auto begun = state.database->begin_round(facts);
  if (!begun)
    return pass_failure(begun);
  state.outcome =
    std::make_shared<fold_result>(fold_result{std::move(begun->records), std::move(begun->look_ups)});
  return {};
}

/// Connects, if need be, to a database that has every committed round, the one under way perhaps among them.
/// @returns where it stands
result<log_sequence_number> catch_up(node_db_state& state) {
  if (!state.database) {
    auto opened = node_database::open(state.options.store->database_connection(),
                                      state.options.store->identity(), node_database::if_empty::refuse);
    if (!opened)
      return pass_failure(opened);
    state.database = std::move(*opened);
  }
  auto position = state.database->position();
  if (!position)
    return position;
  if (*position < state.position) {
    spdlog::warn("database_behind position={} acknowledged={} what=\"replaying the log\"", position->value,
                 state.position.value);
    auto replayed = state.options.store->replay(*state.database, *position, state.position);
    if (!replayed)
      return pass_failure(replayed);
    spdlog::info("database_replayed records={} position={}", replayed->records, replayed->position.value);
    position = replayed->position;
  }
  const auto newest = state.job ? state.job->new_position : state.position;
  if (*position != state.position && *position != newest)
    // An exception ends the actor: the supervisor recovers the node, or gives up with this text.
    throw std::runtime_error(
      fmt::format("database stands at log position {}, this node is at {}: does another node "
                  "write to it?",
                  position->value, state.position.value));
  return position;
}

void retry_later(self_pointer self, const failure& why) {
  auto& state = self->state;
  state.database.reset();
  state.outcome.reset();
  if (state.retry_scheduled)
    return;
  if (state.retry_after == state.options.first_retry)
    spdlog::warn("database_unavailable reason=\"{}\"", why.message);
  state.options.vitals->set_database("unavailable: " + why.message);
  state.retry_scheduled = true;
  state.retry_at = self->clock().now() + state.retry_after;
  self->delayed_send(self, state.retry_after, interval_tick{});
  state.retry_after = std::min(2 * state.retry_after, state.options.max_retry);
}

/// Takes the round as far as it may go.
void advance(self_pointer self) {
  auto& state = self->state;
  if (state.retry_scheduled || !state.job)
    return;
  if (!state.outcome) {
    // The usual case trusts the position guard; after trouble the database is asked first.
    result<log_sequence_number> expected = state.position;
    if (!state.database)
      expected = catch_up(state);
    result<void> sent;
    if (expected)
      sent = send_rows(state, *expected);
    if (expected && !sent && sent.error().code == errc::conflict) {
      expected = catch_up(state);
      if (expected)
        sent = send_rows(state, *expected);
    }
    if (!expected || !sent) {
      retry_later(self, expected ? sent.error() : expected.error());
      return;
    }
    state.is_committed = *expected != state.position;
  }
  if (!state.commit_wanted)
    return;
  if (state.is_committed) {
    state.database->abandon_round(); // it was sent again only to learn what became of it
  } else if (auto committed = state.database->commit_round(); !committed) {
    retry_later(self, committed.error());
    return;
  }
  if (state.retry_after != state.options.first_retry) {
    spdlog::info("database_available position={}", state.job->new_position.value);
    state.retry_after = state.options.first_retry;
  }
  state.options.vitals->set_database("connected");
  state.position = state.job->new_position;
  state.job.reset();
  state.commit_wanted = false;
  state.is_committed = false;
  self->send(state.options.writer, round_committed{std::exchange(state.outcome, nullptr)});
}

/// Rounds notice a database that lost commits. When there are none, readers do.
void look_for_readers(self_pointer self) {
  auto& state = self->state;
  const auto now = self->clock().now();
  if (now < state.next_look)
    return;
  state.next_look = now + state.options.max_retry;
  self->delayed_send(self, state.options.max_retry, interval_tick{});
  if (state.job || state.retry_scheduled || !state.options.vitals->readers_wait.exchange(false))
    return;
  if (auto position = catch_up(state); position) {
    state.options.vitals->set_database("connected");
    state.retry_after = state.options.first_retry;
  } else {
    state.options.vitals->readers_wait = true;
    retry_later(self, position.error());
  }
}

/// Writes or drops the row of the file that the log ended with. A stop that ran out of time may leave rounds
/// that are in the file alone: a closed row would hide them from the next start, which would give their
/// numbers out again. An open one makes it read the file.
void finish(node_db_state& state, const value_log::close_outcome& closed) {
  const auto leave = [&](const std::string& why) {
    spdlog::warn("value_file_row_not_closed file={} reason=\"{}\" what=\"the next start does it\"",
                 closed.id.value, why);
  };
  if (!state.database)
    return leave("the database connection is lost");
  if (state.job)
    return leave("a round is under way");
  if (closed.last_lsn > state.position)
    return leave(fmt::format("the file ends with record {}, the database stands at {}", closed.last_lsn.value,
                             state.position.value));
  auto done = closed.row ? state.database->put_value_files({&*closed.row, 1})
                         : state.database->drop_value_file(closed.id);
  if (!done)
    leave(done.error().message);
}

} // namespace

node_db_actor::behavior_type node_db(self_pointer self, node_db_options options,
                                     std::shared_ptr<recovered_store> recovered) {
  exit_on_exception(self);
  auto& state = self->state;
  state.options = std::move(options);
  state.database = std::move(recovered->database);
  state.position = recovered->machine.position;
  state.retry_after = state.options.first_retry;
  look_for_readers(self);
  return {
    [=](const fold_round& message) {
      self->state.job = message.job;
      advance(self);
    },
    [=](commit_round) {
      self->state.commit_wanted = true;
      advance(self);
    },
    [=](abandon_round) {
      if (self->state.database)
        self->state.database->abandon_round();
      self->state.job.reset();
      self->state.outcome.reset();
      self->state.commit_wanted = false;
      self->state.is_committed = false;
    },
    [=](interval_tick) {
      auto& s = self->state;
      if (s.retry_scheduled && self->clock().now() >= s.retry_at)
        s.retry_scheduled = false;
      advance(self);
      look_for_readers(self);
    },
    [=](const finish_database& message) {
      if (message.closed)
        finish(self->state, *message.closed);
      self->state.database.reset();
      self->quit();
      return database_finished{};
    },
  };
}

} // namespace cairn
