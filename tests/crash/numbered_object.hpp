#pragma once
/// Objects whose key, shape and bytes follow from a number, so that a long run need only remember the number.

#include "tests/harness/archives.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace cairn::crash {

struct object_shape {
  std::string key;
  std::vector<std::vector<std::size_t>> parts; ///< sizes of each part's sequences; one part: not conjoined

  [[nodiscard]] bool is_conjoined() const { return parts.size() > 1; }
};

object_shape shape_of(std::uint64_t number);

/// One part of the object as a segment with all its bytes; part 0 of one that is not conjoined is the object.
harness::sample_object segment_of(std::uint64_t number, std::size_t part, unified_id version);

/// A step of a conjoined archive, e.g. finish_conjoined_archive, of the object that this is a part of.
template <class Step>
Step step_of(const harness::sample_object& of) {
  return {{}, of.segment.collection, of.segment.key, of.segment.version, of.segment.timestamp, {}};
}

} // namespace cairn::crash
