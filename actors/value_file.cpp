#include "actors/value_file.hpp"

#include "actors/faults.hpp"

#include <spdlog/spdlog.h>

namespace cairn {

namespace {

using self_pointer = value_file_actor::stateful_pointer<value_file_state>;

void publish_size(const value_file_state& state) {
  state.options.vitals->value_file = state.log->current_file().value;
  state.options.vitals->value_file_bytes = state.log->current_size_bytes();
}

/// Opens a successor that says where the failed file ends; the writer is told only when that is durable.
void fence_off(self_pointer self) {
  auto& state = self->state;
  if (!state.failed_why)
    return;
  auto successor = state.log->recover();
  if (!successor) {
    spdlog::error("value_file_not_replaced code={} reason=\"{}\" what=\"trying again\"",
                  to_string(successor.error().code), successor.error().message);
    return;
  }
  spdlog::warn("value_file_replaced file={} synced_lsn={}", successor->id.value,
               state.log->synced_lsn().value);
  state.failed_append->file_rows.push_back(std::move(*successor));
  self->send(state.options.writer,
             log_failed{state.log->synced_lsn(), std::exchange(state.failed_append, nullptr),
                        std::exchange(state.failed_why, nullptr)});
  publish_size(state);
}

void fail_log(self_pointer self, std::shared_ptr<append_outcome> outcome, const failure& why) {
  spdlog::error("value_file_failed file={} synced_lsn={} code={} reason=\"{}\"",
                self->state.log->current_file().value, self->state.log->synced_lsn().value,
                to_string(why.code), why.message);
  ++self->state.failures;
  self->state.failed_append = std::move(outcome);
  self->state.failed_why = std::make_shared<failure>(why);
  fence_off(self);
}

void append(self_pointer self, const append_job& job) {
  auto& state = self->state;
  if (job.failures_seen != state.failures)
    return; // sent before the writer heard of the failure, which ends it: see append_job::failures_seen
  auto outcome = std::make_shared<append_outcome>(state.log->append(job.records));
  if (outcome->failed) {
    const auto why = *outcome->failed;
    fail_log(self, std::move(outcome), why);
    return;
  }
  self->send(state.options.writer, records_appended{std::move(outcome)});
  if (job.then_sync) {
    if (auto synced = state.log->sync(); !synced) {
      fail_log(self, std::make_shared<append_outcome>(), synced.error());
      return;
    }
    self->send(state.options.writer, log_synced{state.log->synced_lsn()});
  }
  publish_size(state);
}

void check_space(self_pointer self) {
  auto& state = self->state;
  const auto has_space = state.options.has_space();
  state.options.vitals->has_space = has_space;
  if (has_space == state.has_space)
    return;
  state.has_space = has_space;
  spdlog::warn("journal_space above_reserve={}", has_space);
  self->send(state.options.writer, space_report{has_space});
}

} // namespace

value_file_actor::behavior_type value_file(self_pointer self, value_file_options options,
                                           std::shared_ptr<recovered_store> recovered) {
  exit_on_exception(self);
  self->state.options = std::move(options);
  self->state.log = std::move(recovered->log);
  check_space(self);
  self->delayed_send(self, self->state.options.space_check_interval, interval_tick{});
  return {
    [=](const append_records& message) { append(self, *message.job); },
    [=](interval_tick) {
      check_space(self);
      fence_off(self);
      self->delayed_send(self, self->state.options.space_check_interval, interval_tick{});
    },
    [=](close_log) {
      auto closed = std::make_shared<result<value_log::close_outcome>>(self->state.log->close());
      self->quit();
      return log_closed{std::move(closed)};
    },
  };
}

} // namespace cairn
