#include "core/write/write_machine.hpp"

#include <algorithm>

#include <fmt/format.h>

/// The part of the write machine that answers what has waited for too long, and bounds what does.

namespace cairn {

/// Answers what waits too long; the records go their way all the same.
void write_machine::give_up_slow_waits(steady_time now) {
  watch_database(now);
  const auto why = overdue_failure("it may have been stored, repeat it");
  for (auto& [id, waiting] : completions_) {
    if (now - waiting.since <= options_.database_patience)
      continue;
    is_overdue_ = true;
    waiting.tickets_at_fold = 0;
    for (auto* tickets : {&waiting.tickets, &waiting.overtaken})
      for (const auto& ticket : std::exchange(*tickets, {}))
        answer(ticket, why.code, why.message);
  }
  const auto give_up = [&](look_up& asked) {
    if (now - asked.since <= options_.database_patience)
      return false;
    if (asked.ticket)
      answer(*asked.ticket, why.code, why.message);
    asked.ticket.reset();
    return true;
  };
  std::erase_if(waiting_look_ups_, give_up);
  if (in_database_)
    std::for_each(in_database_->look_ups.begin(), in_database_->look_ups.end(), give_up);
}

/// A round of starts and nexts alone has nobody who waits for it.
void write_machine::watch_database(steady_time now) {
  const auto current = in_database_ ? in_database_->number : round_number{};
  if (current != std::exchange(watched_round_, current))
    watched_since_ = now;
  is_overdue_ = in_database_ && now - watched_since_ > options_.database_patience;
}

/// The database has nothing that it could commit.
bool write_machine::waits_for_disk() const { return !in_database_ || !in_database_->synced; }

/// Both codes are of unknown outcome: what is not synced yet may be, and is committed then.
failure write_machine::overdue_failure(std::string_view what) const {
  const auto seconds = options_.database_patience.count() / 1000;
  if (waits_for_disk())
    return {errc::timed_out, fmt::format("the disk has not synced it within {} s: {}", seconds, what)};
  return {errc::database_unavailable,
          fmt::format("the database has not committed it within {} s: {}", seconds, what)};
}

/// Clients of what was given up go on, so their windows bound nothing.
bool write_machine::refuse_overdue(const write_ticket& ticket) {
  if (!is_overdue_ || held_bytes() <= options_.max_overdue_bytes)
    return false;
  auto why = overdue_failure("too much waits for that: this was not taken, send it again later");
  answer(ticket, why.code, std::move(why.message));
  return true;
}

} // namespace cairn
