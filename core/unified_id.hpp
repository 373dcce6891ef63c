#pragma once
/// Unified ids: 63 bits = 40 bits milliseconds since 2020-01-01Z, 13 bits shard, 10 bits counter. Source:
/// spec section 1.

#include "core/ids.hpp"

#include <chrono>
#include <cstdint>
#include <functional>

namespace cairn {

/// A lease on part of the id space: ids of different shards never collide.
using shard_number = strong_id<struct shard_number_tag, std::int32_t>;
inline constexpr std::int32_t shard_count = 1 << 13;
inline constexpr std::uint64_t max_unified_id = (std::uint64_t{1} << 63) - 1;

struct unified_id_parts {
  std::uint64_t milliseconds = 0; ///< since 2020-01-01T00:00:00Z, 0..2^40-1
  shard_number shard;             ///< 0..shard_count-1
  std::int32_t counter = 0;       ///< 0..1023

  bool operator==(const unified_id_parts&) const = default;
};
unified_id compose(const unified_id_parts& parts);
unified_id_parts decompose(unified_id id);

/// Hands out ids of one shard, each larger than every id it gave or saw before, whatever the clock does.
/// Not thread-safe.
class unified_id_generator {
public:
  /// Wall clock, in milliseconds since the Unix epoch; replaced in tests.
  using clock = std::function<std::chrono::milliseconds()>;

  explicit unified_id_generator(shard_number shard, clock now = {});

  unified_id next();
  /// Moves past an id that another generator made; one of the last millisecond or out of range has none after
  /// it and is ignored. Callers keep ids out that lie far in the future: every later one would lie there too.
  void saw(unified_id id);
  /// Goes on with another shard's ids; they, too, are larger than all before.
  void use(shard_number shard);

private:
  shard_number shard_;
  clock now_;
  std::uint64_t milliseconds_ = 0; ///< of the last id; never goes back
  std::int32_t next_counter_ = 0;  ///< 0..1024; 1024 = this millisecond is used up
};

} // namespace cairn
