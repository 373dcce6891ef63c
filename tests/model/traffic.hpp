#pragma once
/// Random messages for a node: good ones, repeats, repeats with other content, and bad ones. Few collections
/// and keys, and a handful of versions at a time, so that messages meet. What comes next depends on the seed,
/// and on what the model knows at that moment.

#include "tests/model/contract_model.hpp"

#include <deque>
#include <random>
#include <string>
#include <vector>

namespace cairn::model {

using random_source = std::mt19937_64;

/// 0..below-1
std::uint64_t pick(random_source& random, std::uint64_t below);
/// With so many chances of a hundred.
bool chance(random_source& random, unsigned percent);
template <class Container>
const auto& pick_of(random_source& random, const Container& from) {
  return from[pick(random, from.size())];
}

/// A version of a key that messages are made for.
struct planned_version {
  collection_id collection;
  std::string key;
  unified_id version;
  timestamp_us timestamp;
  bool is_conjoined = false;
};

class traffic {
public:
  traffic(std::uint64_t seed, const contract_model& model);

  /// A message that stores something, for any state of the node.
  /// @param alone whether it may be one that concerns many segments
  operation next(random_source& random, bool alone);
  /// The messages of one upload, in order.
  std::vector<operation> upload(random_source& random);

  [[nodiscard]] const std::vector<collection_id>& collections() const { return collections_; }
  [[nodiscard]] const std::vector<std::string>& keys() const { return keys_; }
  [[nodiscard]] const std::vector<std::string>& handoff_nodes() const { return handoff_nodes_; }
  /// Versions that messages were made for, the newest last.
  [[nodiscard]] const std::vector<planned_version>& versions() const { return versions_; }
  /// A segment key that messages were made for lately, mostly.
  named_segment_key segment_key(random_source& random) const;

private:
  [[nodiscard]] const planned_version& version(random_source& random) const;
  void plan_version(random_source& random);
  operation fresh(random_source& random, bool alone);
  operation for_segment(random_source& random);
  operation for_many(random_source& random);
  operation conjoined(random_source& random);
  operation destroy(random_source& random);
  segment_info segment(random_source& random) const;
  node_names nodes(random_source& random) const;

  std::uint64_t seed_;
  const contract_model& model_;
  std::vector<collection_id> collections_{collection_id{1}, collection_id{77}};
  std::vector<std::string> keys_{"alpha", "alpha/1", "alphabet", "beta", "\xC3\xA9t\xC3\xA9"};
  std::vector<std::string> handoff_nodes_{"east", "west"};
  std::vector<planned_version> versions_;
  std::deque<operation> lately_;
};

} // namespace cairn::model
