#pragma once
/// Compares a node that has just started with what its clients know: every acknowledged fact is there,
/// nothing that was refused is, what was in doubt is there wholly or not at all; receipts point at the bytes
/// that they acknowledged. What was in doubt is known afterwards.

#include "tests/power/facts.hpp"
#include "tests/power/power_node.hpp"

namespace cairn::power {

class inspection {
public:
  inspection(power_node& node, facts& known) : node_(node), facts_(known) {}

  /// @pre nothing is in flight. @throws broken_promise
  void run();

private:
  struct version {
    std::string key;
    unified_id number;
    std::int64_t size_bytes = 0;
    bool operator==(const version&) const = default;
  };

  void look_at(upload& u);
  void look_at(tombstone& t);
  void look_at(conjoined& row);
  void mend(upload& u);
  void check_whole(const upload& u, const retrieve_reply& head);
  void check_handoffs();
  void check_listings();
  void check_lookups(const std::vector<version>& visible);
  void check_receipts();

  [[nodiscard]] bool is_hidden(const upload& u) const;
  [[nodiscard]] bool is_visible(const upload& u) const;
  [[nodiscard]] std::vector<version> visible_versions() const;

  power_node& node_;
  facts& facts_;
};

} // namespace cairn::power
