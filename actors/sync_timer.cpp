#include "actors/sync_timer.hpp"

#include "actors/faults.hpp"

namespace cairn {

sync_timer_actor::behavior_type sync_timer(sync_timer_actor::stateful_pointer<sync_timer_state> self,
                                           writer_actor writer, std::chrono::milliseconds interval) {
  exit_on_exception(self);
  self->state.writer = std::move(writer);
  self->state.interval = interval;
  self->delayed_send(self, interval, interval_tick{});
  return {
    // By the time the tick is the writer's turn, it has admitted what else had arrived: one sync serves all
    // of it.
    [=](round_due m) {
      if (m.gather.count() == 0)
        self->send(self->state.writer, sync_tick{false});
      else
        self->delayed_send(self->state.writer, m.gather, sync_tick{false});
    },
    [=](interval_tick) {
      self->send(self->state.writer, sync_tick{true});
      self->delayed_send(self, self->state.interval, interval_tick{});
    },
  };
}

} // namespace cairn
