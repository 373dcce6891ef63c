#pragma once
/// Compares what a node shows with what the model says it must: look-ups, listings, handoffs, and every byte.

#include "net/client.hpp"
#include "tests/model/traffic.hpp"

#include <string>

namespace cairn::model {

/// Each check @returns what differs, empty when nothing does.
class reading {
public:
  reading(client& node, const contract_model& model, const traffic& messages)
      : node_(node), model_(model), traffic_(messages) {}

  /// One question, about whatever chance says.
  std::string random_question(random_source& random);
  /// All listings page by page, look-ups of all planned versions, everything that is held for other nodes.
  std::string everything_listed(random_source& random);
  /// Every final segment byte for byte, and a range of it; and that the others of the versions are not there.
  std::string everything_stored(random_source& random);

private:
  std::string check_lookup(collection_id collection, const std::string& key, unified_id version);
  std::string check_newest(collection_id collection, const std::string& key);
  std::string check_keys(collection_id collection, const std::string& prefix, const std::string& marker,
                         std::int32_t limit);
  std::string check_versions(collection_id collection, const std::string& prefix,
                             const std::string& key_marker, unified_id version_marker, std::int32_t limit);
  std::string check_segment(const named_segment_key& key, const byte_range& range);
  std::string check_handoffs(const std::string& node, std::int32_t limit);
  std::string check_refusal(random_source& random);
  byte_range random_range(random_source& random, const named_segment_key& key) const;

  client& node_;
  const contract_model& model_;
  const traffic& traffic_;
};

} // namespace cairn::model
