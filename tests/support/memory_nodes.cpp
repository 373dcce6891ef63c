#include "tests/support/memory_nodes.hpp"

#include <algorithm>
#include <set>

namespace cairn {

// -- memory_content

void memory_content::apply(byte_buffer& image, std::uint64_t offset, std::span<const std::byte> data) {
  if (data.empty())
    return;
  if (image.size() < offset + data.size())
    image.resize(offset + data.size());
  std::copy(data.begin(), data.end(), image.begin() + static_cast<std::ptrdiff_t>(offset));
}

void memory_content::write(std::uint64_t offset, std::span<const std::byte> data) {
  if (data.empty())
    return;
  apply(visible_, offset, data);
  unsynced_.push_back({offset, byte_buffer(data.begin(), data.end()), false});
}

void memory_content::sync() {
  std::vector<piece> written;
  std::vector<piece> dropped;
  for (auto& each : unsynced_)
    (each.is_dropped ? dropped : written).push_back(std::move(each));
  unsynced_ = std::move(dropped);
  for (const auto& each : written) {
    apply(durable_, each.offset, each.data);
    supersede_dropped(each);
  }
}

void memory_content::fail_sync() {
  for (auto& each : unsynced_)
    each.is_dropped = true;
}

/// Dropped bytes are older than any that a sync can still write: a crash must not bring them back over those.
void memory_content::supersede_dropped(const piece& newer) {
  std::vector<piece> left;
  for (const auto& each : unsynced_)
    for (auto& rest : without(each, newer.offset, newer.end()))
      left.push_back(std::move(rest));
  unsynced_ = std::move(left);
}

std::vector<memory_content::piece> memory_content::without(const piece& from, std::uint64_t begin,
                                                           std::uint64_t end) {
  std::vector<piece> rest;
  const auto keep = [&](std::uint64_t first, std::uint64_t last) {
    if (first >= last)
      return;
    const auto data = from.data.begin() - static_cast<std::ptrdiff_t>(from.offset);
    rest.push_back(
      {first,
       byte_buffer(data + static_cast<std::ptrdiff_t>(first), data + static_cast<std::ptrdiff_t>(last)),
       from.is_dropped});
  };
  keep(from.offset, std::min(from.end(), begin));
  keep(std::max(from.offset, end), from.end());
  return rest;
}

void memory_content::replace(byte_buffer content) {
  visible_ = content;
  durable_ = std::move(content);
  unsynced_.clear();
}

void memory_content::damage(byte_buffer content) {
  if (content.size() != visible_.size())
    return replace(std::move(content));
  for (std::uint64_t at = 0; at < content.size(); ++at) {
    if (content[at] == visible_[at])
      continue;
    if (at < durable_.size())
      durable_[at] = content[at];
    for (auto& each : unsynced_)
      if (each.offset <= at && at < each.end())
        each.data[at - each.offset] = content[at];
  }
  visible_ = std::move(content);
}

void memory_content::crash(crash_dice& dice) {
  auto image = durable_;
  if (!dice.loses_all() && !unsynced_.empty()) {
    const std::uint64_t grain_bytes = dice.coin() ? 512 : 4096;
    switch (dice.below(4)) {
      case 0: break;
      case 1: image = visible_; break;
      case 2: keep_prefix_of_writes(image, dice, grain_bytes); break;
      default: keep_grains(image, dice, grain_bytes); break;
    }
    // The size may reach the disk before the data do; what was not written then reads as zeros.
    if (image.size() < visible_.size() && dice.coin())
      image.resize(image.size() + dice.below(visible_.size() - image.size() + 1));
  }
  replace(std::move(image));
}

/// Keeps some writes, oldest first, and any of the grains of the next one.
void memory_content::keep_prefix_of_writes(byte_buffer& image, crash_dice& dice,
                                           std::uint64_t grain_bytes) const {
  const auto kept = dice.below(unsynced_.size());
  for (std::uint64_t i = 0; i < kept; ++i)
    apply(image, unsynced_[i].offset, unsynced_[i].data);
  const auto& torn = unsynced_[kept];
  for (auto begin = torn.offset; begin < torn.end();) {
    const auto end = std::min(torn.end(), (begin / grain_bytes + 1) * grain_bytes);
    if (dice.coin())
      apply(image, begin, std::span(torn.data).subspan(begin - torn.offset, end - begin));
    begin = end;
  }
}

/// Leaves each grain as it was after some of the writes to it, oldest first, whatever the others are like.
void memory_content::keep_grains(byte_buffer& image, crash_dice& dice, std::uint64_t grain_bytes) const {
  std::map<std::uint64_t, std::vector<const piece*>> history;
  for (const auto& each : unsynced_)
    for (auto grain = each.offset / grain_bytes; grain * grain_bytes < each.end(); ++grain)
      history[grain].push_back(&each);
  for (const auto& [grain, writes] : history) {
    const auto kept = dice.below(writes.size() + 1);
    for (std::uint64_t i = 0; i < kept; ++i) {
      const auto begin = std::max(writes[i]->offset, grain * grain_bytes);
      const auto end = std::min(writes[i]->end(), (grain + 1) * grain_bytes);
      apply(image, begin, std::span(writes[i]->data).subspan(begin - writes[i]->offset, end - begin));
    }
  }
}

// -- memory_entries

void memory_entries::apply(table& entries, const change& what) {
  if (what.node)
    entries[what.name] = what.node;
  else
    entries.erase(what.name);
}

memory_node_ptr memory_entries::find(const std::string& name) const {
  const auto found = visible_.find(name);
  return found == visible_.end() ? nullptr : found->second;
}

void memory_entries::set(const std::string& name, memory_node_ptr node) {
  unsynced_.push_back({name, std::move(node), false});
  apply(visible_, unsynced_.back());
}

void memory_entries::erase(const std::string& name) {
  unsynced_.push_back({name, nullptr, false});
  apply(visible_, unsynced_.back());
}

void memory_entries::sync() {
  std::vector<change> dropped;
  for (const auto& each : unsynced_) {
    // A later change of a name that does reach the disk settles the dropped ones before it.
    if (!each.is_dropped) {
      apply(durable_, each);
      std::erase_if(dropped, [&](const change& older) { return older.name == each.name; });
    } else {
      dropped.push_back(each);
    }
  }
  unsynced_ = std::move(dropped);
}

void memory_entries::fail_sync() {
  for (auto& each : unsynced_)
    each.is_dropped = true;
}

void memory_entries::crash(crash_dice& dice) {
  auto entries = durable_;
  if (!dice.loses_all() && !unsynced_.empty()) {
    const auto count = unsynced_.size();
    std::set<std::string> stopped; // names of which a change was lost: they reach the disk in order
    const auto choice = dice.below(4);
    const auto prefix = choice == 0 ? 0 : choice == 1 ? count : dice.below(count + 1);
    for (std::size_t i = 0; i < count; ++i) {
      const auto& name = unsynced_[i].name;
      const bool keep = choice == 3 ? !stopped.contains(name) && dice.coin() : i < prefix;
      if (keep)
        apply(entries, unsynced_[i]);
      else
        stopped.insert(name);
    }
  }
  visible_ = entries;
  durable_ = std::move(entries);
  unsynced_.clear();
}

// -- memory_node

void memory_node::charge() {
  const auto holds_space = kind == memory_node_kind::file && (is_linked || open_handles > 0);
  const auto bytes = holds_space ? std::max<std::uint64_t>(content.visible().size(), preallocated_end) : 0;
  volume->used_bytes = volume->used_bytes - charged_bytes + bytes;
  charged_bytes = bytes;
}

void memory_node::crash(crash_dice& dice) {
  charged_bytes = 0;
  open_handles = 0;
  is_linked = true;
  if (kind == memory_node_kind::file)
    content.crash(dice);
  if (kind == memory_node_kind::directory) {
    entries.crash(dice);
    for (const auto& [name, node] : entries.visible())
      node->crash(dice);
  }
  charge();
}

} // namespace cairn
