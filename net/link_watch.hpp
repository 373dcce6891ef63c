#pragma once
/// A link's events for code that is no actor: waits for them, or takes those that have come. One thread uses
/// it.

#include "net/link_messages.hpp"

#include <chrono>
#include <optional>
#include <variant>

#include <caf/scoped_actor.hpp>

namespace cairn {

using link_event = std::variant<link_connected, link_lost>;

class link_watch {
public:
  /// The first event is the link's state of now, unless it has not come to one yet.
  link_watch(caf::actor_system& system, const node_link_actor& link);
  link_watch(const link_watch&) = delete;
  link_watch& operator=(const link_watch&) = delete;
  ~link_watch();

  /// Waits for the next event. @error timed_out; shutting_down: the link has ended
  result<link_event> next(std::chrono::milliseconds time_limit);
  /// Waits for an event of that kind; those before it are passed over. @error as next()
  template <class Event>
  result<Event> wait_for(std::chrono::milliseconds time_limit) {
    const auto until = std::chrono::steady_clock::now() + time_limit;
    for (;;) {
      auto event =
        next(std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()));
      if (!event)
        return pass_failure(event);
      if (auto* wanted = std::get_if<Event>(&*event))
        return std::move(*wanted);
    }
  }
  /// An event that has come already, if any.
  std::optional<link_event> poll();

private:
  caf::scoped_actor self_;
  node_link_actor link_;
};

} // namespace cairn
