#include "net/link_watch.hpp"

#include <caf/typed_event_based_actor.hpp>

namespace cairn {

link_watch::link_watch(caf::actor_system& system, const node_link_actor& link) : self_(system), link_(link) {
  self_->monitor(link_);
  self_->send(link_, subscribe_link{});
}

link_watch::~link_watch() { self_->send(link_, unsubscribe_link{}); }

result<link_event> link_watch::next(std::chrono::milliseconds time_limit) {
  result<link_event> out = fail(errc::timed_out, "nothing became of the link within the time limit");
  self_->receive([&](link_connected& event) { out = std::move(event); },
                 [&](link_lost& event) { out = std::move(event); },
                 [&](const caf::down_msg&) { out = fail(errc::shutting_down, "the link has ended"); },
                 caf::after(std::max(time_limit, std::chrono::milliseconds{0})) >> [] {});
  return out;
}

std::optional<link_event> link_watch::poll() {
  if (self_->mailbox().empty())
    return std::nullopt;
  auto event = next(std::chrono::milliseconds{0});
  return event ? std::optional<link_event>(std::move(*event)) : std::nullopt;
}

} // namespace cairn
