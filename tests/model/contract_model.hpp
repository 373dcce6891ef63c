#pragma once
/// What the contract says of a whole node: written from the contract and not from the code, to be compared
/// with a real node; slow and plain on purpose.

#include "tests/model/segment_model.hpp"

#include <compare>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

namespace cairn::model {

/// Every message that stores something.
using operation =
  std::variant<archive_key_entire, archive_key_start, archive_key_next, archive_key_final, archive_key_cancel,
               destroy_key, start_conjoined_archive, abort_conjoined_archive, finish_conjoined_archive,
               gateway_start, purge, add_node, sync_value_file>;

struct by_key_fields {
  bool operator()(const named_segment_key& a, const named_segment_key& b) const {
    return std::tie(a.version, a.conjoined_part, a.segment_num, a.handoff_node)
           < std::tie(b.version, b.conjoined_part, b.segment_num, b.handoff_node);
  }
};

/// A version as listings and look-ups show it. Where its segments differ, any of them may tell.
struct visible_version {
  std::string key;
  unified_id version;
  std::vector<const content*> segments; ///< held here, by part and number
};

class contract_model {
public:
  explicit contract_model(const std::string& node_name);

  // --- messages that store ---

  /// A message is sent. @pre a gateway_start, purge or add_node is alone in flight; when the batch does not
  /// end with every reply, no two messages are about one segment key or conjoined row
  void arrive(const operation& message, batch_end end = batch_end::answered);
  /// The replies to all that arrived since the last call, in order; none = it did not come.
  /// @returns what contradicts the contract, empty when nothing does
  std::string settle(const std::vector<std::optional<archive_reply>>& replies,
                     batch_end end = batch_end::answered);
  void stop();
  void crash();
  /// Keys of which the replies up to now allow more than one state.
  [[nodiscard]] std::vector<named_segment_key> unsure() const;

  // --- what readers must see; @pre nothing is unsure ---

  [[nodiscard]] const world* find(const named_segment_key& key) const;
  [[nodiscard]] std::vector<const content*> final_segments() const;
  /// Visible versions, as list_versions orders them.
  [[nodiscard]] std::vector<visible_version> versions(collection_id collection,
                                                      const std::string& prefix) const;
  /// The same of one key.
  [[nodiscard]] std::vector<visible_version> versions_of(collection_id collection,
                                                         const std::string& key) const;
  [[nodiscard]] std::vector<const content*> tombstones(collection_id collection, const std::string& key,
                                                       unified_id version) const;
  [[nodiscard]] std::vector<const content*> handoffs(const std::string& node) const;
  [[nodiscard]] bool knows_node(const std::string& name) const { return names_.contains(name); }

private:
  struct conjoined_row {
    collection_id collection;
    std::string key;
    bool is_aborted = false;
    bool is_complete = false;
  };
  using conjoined_rows = std::map<std::pair<unified_id, std::string>, conjoined_row>;
  /// A message in flight.
  struct sent {
    std::set<errc> faults;                    ///< it is refused with one of these
    std::optional<named_segment_key> segment; ///< the rest is empty
    outcome expected;
    std::int64_t count = 0;
    unified_id version;
    std::function<void()> undo; ///< of a conjoined step, should it not have been stored
  };

  [[nodiscard]] std::set<errc> faults_of(const operation& message) const;
  void perform(const operation& message, sent& expected, batch_end end);
  void perform_conjoined(const conjoined_row& step, unified_id version, const std::string& handoff,
                         sent& expected);
  [[nodiscard]] std::string compare(const sent& expected, const archive_reply& reply) const;
  [[nodiscard]] bool is_visible(const content& row, const std::vector<const content*>& rows_of_key) const;
  template <class Wanted>
  [[nodiscard]] std::vector<visible_version> visible(collection_id collection, Wanted&& is_wanted) const;

  std::map<named_segment_key, segment_model, by_key_fields> segments_;
  conjoined_rows conjoined_;
  std::map<std::string, node_id> names_;
  std::vector<sent> in_flight_;
};

} // namespace cairn::model
