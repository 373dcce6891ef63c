#pragma once
/// Strong identifiers: numbers that cannot be passed in each other's place.

#include <compare>
#include <cstdint>
#include <functional>

namespace cairn {

/// A number with a meaning. Explicit to make, ordered and hashable, serialised as its value.
template <class Tag, class Rep>
struct strong_id {
  using rep = Rep;
  Rep value{};

  constexpr strong_id() = default;
  explicit constexpr strong_id(Rep v) : value(v) {}
  constexpr auto operator<=>(const strong_id&) const = default;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, strong_id& x) {
    return f(x.value);
  }
};

/// A customer's container; positive.
using collection_id = strong_id<struct collection_id_tag, std::int32_t>;
/// One version of one key, unique in the cluster, growing with time; 63 bits, see unified_id.hpp.
using unified_id = strong_id<struct unified_id_tag, std::uint64_t>;
/// A segment attempt on this node, allotted by the node; positive, 0 = none.
using segment_id = strong_id<struct segment_id_tag, std::int64_t>;
/// A value file of this node, allotted by the node; positive, 0 = none.
using value_file_id = strong_id<struct value_file_id_tag, std::int32_t>;
/// A directory where value files live; positive.
using space_id = strong_id<struct space_id_tag, std::int32_t>;
/// A node of the cluster; positive, 0 = none.
using node_id = strong_id<struct node_id_tag, std::int32_t>;
/// Number of a record in the node's log, growing by one; 0 = before the first record.
using log_sequence_number = strong_id<struct lsn_tag, std::uint64_t>;
/// Number of a sync round since the node's start; 0 = none.
using round_number = strong_id<struct round_number_tag, std::uint64_t>;
/// Microseconds since 1970-01-01T00:00:00Z.
using timestamp_us = strong_id<struct timestamp_us_tag, std::int64_t>;

} // namespace cairn

template <class Tag, class Rep>
struct std::hash<cairn::strong_id<Tag, Rep>> {
  std::size_t operator()(const cairn::strong_id<Tag, Rep>& id) const noexcept {
    return std::hash<Rep>{}(id.value);
  }
};
