#include "core/unified_id.hpp"

#include <algorithm>

namespace cairn {

namespace {

constexpr int shard_shift = 10;
constexpr int time_shift = 23;
static_assert(counters_per_millisecond == 1 << shard_shift);
constexpr std::uint64_t last_millisecond = max_unified_id >> time_shift;
constexpr std::chrono::milliseconds epoch_2020{1'577'836'800'000};

std::chrono::milliseconds wall_clock() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
    std::chrono::system_clock::now().time_since_epoch());
}

} // namespace

bool is_valid(const id_lease& lease) {
  return lease.shard.value >= 0 && lease.shard.value < shard_count && lease.first_counter >= 0
         && lease.counter_count >= 1 && lease.counter_count <= counters_per_millisecond
         && lease.first_counter <= counters_per_millisecond - lease.counter_count;
}

unified_id compose(const unified_id_parts& parts) {
  return unified_id{(parts.milliseconds << time_shift)
                    | (static_cast<std::uint64_t>(parts.shard.value) << shard_shift)
                    | static_cast<std::uint64_t>(parts.counter)};
}

unified_id_parts decompose(unified_id id) {
  return {id.value >> time_shift,
          shard_number{static_cast<std::int32_t>((id.value >> shard_shift) & (shard_count - 1))},
          static_cast<std::int32_t>(id.value & (counters_per_millisecond - 1))};
}

unified_id_generator::unified_id_generator(id_lease lease, clock now)
    : lease_(lease), now_(now ? std::move(now) : clock{wall_clock}) {}

unified_id unified_id_generator::next() {
  const auto since_2020 = std::max<std::int64_t>((now_() - epoch_2020).count(), 1); // id 0 is none
  const auto milliseconds = static_cast<std::uint64_t>(since_2020);
  if (milliseconds > milliseconds_) {
    milliseconds_ = milliseconds;
    used_ = 0;
  } else if (used_ == lease_.counter_count) {
    ++milliseconds_; // runs ahead of the clock rather than wait for it
    used_ = 0;
  }
  return compose({milliseconds_, lease_.shard, lease_.first_counter + used_++});
}

void unified_id_generator::saw(unified_id id) {
  const auto parts = decompose(id);
  if (parts.milliseconds >= milliseconds_ && parts.milliseconds < last_millisecond) {
    milliseconds_ = parts.milliseconds + 1;
    used_ = 0;
  }
}

void unified_id_generator::use(id_lease lease) {
  if (lease == lease_)
    return;
  lease_ = lease;
  if (used_ != 0) { // shard and counter of this millisecond's ids might be smaller
    ++milliseconds_;
    used_ = 0;
  }
}

} // namespace cairn
