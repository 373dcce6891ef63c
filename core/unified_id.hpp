#pragma once
/// Unified ids: 63 bits = 40 bits milliseconds since 2020-01-01Z, 13 bits shard, 10 bits counter.

#include "core/ids.hpp"

#include <chrono>
#include <cstdint>
#include <functional>

namespace cairn {

using shard_number = strong_id<struct shard_number_tag, std::int32_t>;
inline constexpr std::int32_t shard_count = 1 << 13;
inline constexpr std::int32_t counters_per_millisecond = 1 << 10;
inline constexpr std::uint64_t max_unified_id = (std::uint64_t{1} << 63) - 1;

struct unified_id_parts {
  std::uint64_t milliseconds = 0; ///< since 2020-01-01T00:00:00Z, 0..2^40-1
  shard_number shard;             ///< 0..shard_count-1
  std::int32_t counter = 0;       ///< 0..1023

  bool operator==(const unified_id_parts&) const = default;
};

/// A lease on part of the id space: of one shard, some of the numbers that each millisecond has. Ids of
/// leases that do not overlap never collide.
struct id_lease {
  shard_number shard;
  std::int32_t first_counter = 0;
  std::int32_t counter_count = counters_per_millisecond; ///< at least 1

  bool operator==(const id_lease&) const = default;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, id_lease& x) {
    return f(x.shard, x.first_counter, x.counter_count);
  }
};
[[nodiscard]] bool is_valid(const id_lease& lease);

unified_id compose(const unified_id_parts& parts);
unified_id_parts decompose(unified_id id);

/// Hands out ids of one lease, each larger than every id it gave or saw before, whatever the clock does.
/// Not thread-safe.
class unified_id_generator {
public:
  /// Wall clock, in milliseconds since the Unix epoch; replaced in tests.
  using clock = std::function<std::chrono::milliseconds()>;

  /// @param lease is_valid()
  explicit unified_id_generator(id_lease lease, clock now = {});

  unified_id next();
  /// Moves past an id that another generator made; one of the last millisecond or out of range has none after
  /// it and is ignored. Callers keep ids out that lie far in the future: every later one would lie there too.
  void saw(unified_id id);
  /// Goes on with ids of another lease; they, too, are larger than all before.
  void use(id_lease lease);

private:
  id_lease lease_;
  clock now_;
  std::uint64_t milliseconds_ = 0; ///< of the last id; never goes back
  std::int32_t used_ = 0;          ///< of the lease's counters in this millisecond
};

} // namespace cairn
