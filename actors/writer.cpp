#include "actors/writer.hpp"

#include "actors/digester.hpp"
#include "actors/faults.hpp"
#include "core/digest.hpp"
#include "core/md5_lanes.hpp"
#include "core/validation.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>

namespace cairn {

namespace {

using self_pointer = writer_actor::stateful_pointer<writer_state>;

void deliver_answers(self_pointer self) {
  auto& state = self->state;
  auto answers = state.machine->take_answers();
  if (answers.empty())
    return;
  std::map<std::uint64_t, std::shared_ptr<std::vector<write_answer>>> by_client;
  for (auto& answer : answers) {
    if (answer.code == errc::success && answer.proof.lsn != log_sequence_number{})
      ++state.options.vitals->archives;
    auto& batch = by_client[answer.ticket.client];
    if (!batch)
      batch = std::make_shared<std::vector<write_answer>>();
    batch->push_back(std::move(answer));
  }
  for (auto& [client, batch] : by_client)
    if (const auto found = state.clients.find(client); found != state.clients.end())
      self->send(found->second, write_answers{std::move(batch)});
}

void publish_vitals(writer_state& state) {
  auto& vitals = *state.options.vitals;
  const auto& machine = *state.machine;
  vitals.rounds = machine.last_round().value;
  const auto oldest = machine.oldest_wait();
  vitals.oldest_wait_since_us =
    oldest ? std::chrono::duration_cast<std::chrono::microseconds>(oldest->time_since_epoch()).count() : 0;
}

/// A round that takes longer is made longer by no more than this.
constexpr std::chrono::milliseconds max_gather_time{2};

/// Digests small payloads side by side, on the spot.
void digest_small(self_pointer self) {
  auto& state = self->state;
  const auto jobs = std::exchange(state.small, {});
  std::vector<std::span<const std::byte>> data;
  for (const auto& job : jobs)
    data.push_back(job.data.bytes());
  auto digests = digest_payloads(data);
  const auto now = self->clock().now();
  for (std::size_t i = 0; i < jobs.size(); ++i)
    state.machine->digested(jobs[i].number, compare_digests(jobs[i].expected, std::move(digests[i])), now);
}

/// A digester that is free gets what has come in the meantime, so that the more there is the more is digested
/// side by side. Small payloads gather until they fill the lanes, or no further request is waiting.
void digest(self_pointer self) {
  auto& state = self->state;
  for (auto& job : state.machine->take_digest_jobs()) {
    if (job.data.size() > small_payload_bytes)
      state.undigested.push_back(std::move(job));
    else
      state.small.push_back(std::move(job));
    if (state.small.size() == md5_lane_count)
      digest_small(self);
  }
  if (!state.small.empty() && !std::exchange(state.gathers_small, true))
    self->send(self, digest_gathered{});
  const auto& digesters = state.neighbours->digesters;
  state.digests.resize(digesters.size());
  for (std::size_t i = 0; i < digesters.size() && !state.undigested.empty(); ++i) {
    if (state.digests[i])
      continue;
    const auto end = state.undigested.begin()
                     + static_cast<std::ptrdiff_t>(std::min(state.undigested.size(), md5_lane_count));
    auto batch = std::make_shared<std::vector<digest_job>>(std::move_iterator(state.undigested.begin()),
                                                           std::move_iterator(end));
    state.undigested.erase(state.undigested.begin(), end);
    state.digests[i] = true;
    self->send(digesters[i], digest_request{i, std::move(batch)});
  }
}

/// A round serves all that wait for it, so it pays to wait for the clients that the last one answered: they
/// are likely to send again at once. Without them, or when all of them are back, it begins.
void announce_round(self_pointer self) {
  using announced = writer_state::announced;
  auto& state = self->state;
  const auto& timer = state.neighbours->sync_timer;
  const auto& machine = *state.machine;
  if (!machine.round_is_due() || state.round == announced::due)
    return;
  if (machine.round_is_full() || state.gather_time.count() == 0) {
    state.round = announced::due;
    self->send(timer, round_due{std::chrono::nanoseconds{0}});
  } else if (state.round == announced::nothing) {
    state.round = announced::gathering;
    self->send(timer, round_due{state.gather_time});
  }
}

/// Carries out what the machine asks for after an event.
void pump(self_pointer self) {
  auto& state = self->state;
  auto& machine = *state.machine;
  const auto& to = *state.neighbours;
  digest(self);
  if (auto job = machine.take_append())
    self->send(to.value_file, append_records{std::make_shared<append_job>(std::move(*job))});
  if (machine.take_abandon())
    self->send(to.node_db, abandon_round{});
  if (auto job = machine.take_fold()) {
    state.fold_begun = self->clock().now();
    self->send(to.node_db, fold_round{std::make_shared<const fold_job>(std::move(*job))});
  }
  if (machine.take_commit())
    self->send(to.node_db, commit_round{});
  auto& vitals = *state.options.vitals; // before the answers: who has one may look
  vitals.active_segments = static_cast<std::int64_t>(machine.active_segment_count());
  vitals.completions_waiting = static_cast<std::int64_t>(machine.completion_count());
  deliver_answers(self);
  announce_round(self);
  if (state.stopped.pending() && machine.is_quiet()) {
    publish_vitals(state); // they tell what a stop lost
    state.stopped.deliver(writing_stopped{});
  }
}

void admit(self_pointer self, const submit& message) {
  auto& state = self->state;
  auto& request = *message.request;
  if (!state.clients.contains(request.ticket.client))
    state.clients.emplace(request.ticket.client, caf::actor_cast<reply_actor>(self->current_sender()));
  state.machine->admit(std::move(request), self->clock().now());
}

void tick(self_pointer self, bool is_periodic) {
  auto& state = self->state;
  if (is_periodic) {
    state.machine->tick(self->clock().now());
    publish_vitals(state);
    if (state.machine->has_unsynced())
      state.machine->start_round();
    return;
  }
  state.round = writer_state::announced::nothing;
  // It may be one that was to come at the latest, for a round that an earlier tick has begun.
  if (state.machine->round_is_due())
    state.machine->start_round();
}

void commit(self_pointer self, const round_committed& message) {
  auto& state = self->state;
  state.machine->committed(std::move(*message.outcome));
  constexpr int share_of_round = 4;
  state.gather_time = std::min<std::chrono::nanoseconds>(
    (self->clock().now() - state.fold_begun) / share_of_round, max_gather_time);
  // Before the answers leave: a reader asked by a client that has one must not serve from an older database.
  state.options.vitals->acknowledged_lsn = state.machine->position().value;
  publish_vitals(state);
}

} // namespace

writer_actor::behavior_type writer(self_pointer self, writer_options options, write_machine_start start) {
  exit_on_exception(self);
  auto& state = self->state;
  state.options = std::move(options);
  state.machine.emplace(state.options.machine, std::move(start));
  // Each handler is one event of the machine, then what it asks for.
  const auto on_event = [self](auto&& event) {
    event(*self->state.machine);
    if (self->state.neighbours)
      pump(self);
  };
  return {
    [=](const connect_writer& m) {
      self->state.neighbours = m.neighbours;
      pump(self);
    },
    [=](const submit& m) { on_event([&](write_machine&) { admit(self, m); }); },
    [=](const client_gone& m) { self->state.clients.erase(m.client); },
    [=](const digest_verdicts& m) {
      self->state.digests[m.digester] = false;
      on_event([&](write_machine& w) {
        for (const auto& verdict : *m.verdicts)
          w.digested(verdict.number, verdict.checksums, self->clock().now());
      });
    },
    [=](const records_appended& m) {
      on_event([&](write_machine& w) {
        for (const auto& at : m.outcome->placements)
          self->state.options.vitals->bytes_archived += at.data_bytes;
        w.appended(std::move(m.outcome->placements), std::move(m.outcome->file_rows));
      });
    },
    [=](const log_synced&) { on_event([](write_machine& w) { w.synced(); }); },
    [=](const log_failed& m) {
      on_event([&](write_machine& w) {
        w.write_failed(m.synced_lsn, std::move(m.outcome->placements), std::move(m.outcome->file_rows),
                       *m.why);
      });
    },
    [=](const space_report& m) { on_event([&](write_machine& w) { w.space_changed(m.has_space); }); },
    [=](const round_committed& m) { on_event([&](write_machine&) { commit(self, m); }); },
    [=](const sync_tick& m) { on_event([&](write_machine&) { tick(self, m.is_periodic); }); },
    [=](digest_gathered) {
      self->state.gathers_small = false;
      on_event([&](write_machine&) { digest_small(self); });
    },
    [=](stop_writing) -> caf::result<writing_stopped> {
      auto promise = self->make_response_promise<writing_stopped>();
      self->state.stopped = promise;
      on_event([](write_machine& w) { w.stop(); });
      return promise;
    },
  };
}

} // namespace cairn
