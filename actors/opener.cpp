#include "actors/opener.hpp"

#include "actors/faults.hpp"

namespace cairn {

namespace {

store_opened open(opener_state& state) {
  const auto failed = [](failure why) {
    store_opened out;
    out.why = std::make_shared<failure>(std::move(why));
    return out;
  };
  if (!state.store) {
    auto store = node_store::open(*state.value_file_disk, state.settings);
    if (!store)
      return failed(std::move(store.error()));
    state.store = std::move(*store);
  }
  auto recovered = state.store->recover();
  if (!recovered)
    return failed(std::move(recovered.error()));
  return {state.store, std::make_shared<recovered_store>(std::move(*recovered)), nullptr};
}

} // namespace

opener_actor::behavior_type opener(opener_actor::stateful_pointer<opener_state> self, disk* value_file_disk,
                                   node_settings settings) {
  exit_on_exception(self);
  self->state.value_file_disk = value_file_disk;
  self->state.settings = std::move(settings);
  return {
    [=](open_store) { return open(self->state); },
  };
}

} // namespace cairn
