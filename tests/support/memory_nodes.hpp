#pragma once
/// What a memory disk holds: files, directories and symlinks, each with what is visible and what is durable,
/// and what becomes of the difference when the power is cut. No locking: memory_disk does that.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cairn {

using byte_buffer = std::vector<std::byte>;

/// How a power cut treats what was not synced.
enum class crash_policy : std::uint8_t {
  lose_all,  ///< only what was synced is left
  by_chance, ///< any state that POSIX allows: dropped, kept, or torn between sectors or pages
};

/// One crash's choices; equal seeds over equal contents choose equally.
class crash_dice {
public:
  crash_dice(crash_policy policy, std::uint64_t seed) : policy_(policy), random_(seed) {}

  [[nodiscard]] bool loses_all() const { return policy_ == crash_policy::lose_all; }
  /// 0..bound-1; bound > 0.
  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  bool coin() { return below(2) == 1; }

private:
  crash_policy policy_;
  std::mt19937_64 random_;
};

/// A file's bytes.
class memory_content {
public:
  [[nodiscard]] const byte_buffer& visible() const { return visible_; }
  [[nodiscard]] const byte_buffer& durable() const { return durable_; }

  void write(std::uint64_t offset, std::span<const std::byte> data);
  /// Everything written becomes durable, but for what an earlier sync failed on.
  void sync();
  /// As a kernel after a write error: what was dirty counts as clean. Reads still see it, no later sync makes
  /// it durable, and whether it reached the disk is for the crash to say.
  void fail_sync();
  /// Afterwards visible and durable are equal: durable bytes plus what the dice keep.
  void crash(crash_dice& dice);
  /// Sets visible and durable content at once.
  void replace(byte_buffer content);
  /// Changes the bytes in which `content` differs from what is visible, wherever they are by now: what is not
  /// synced stays so. Another size replaces all.
  void damage(byte_buffer content);

private:
  struct piece {
    std::uint64_t offset = 0;
    byte_buffer data;
    bool is_dropped = false; ///< a sync failed on it

    [[nodiscard]] std::uint64_t end() const { return offset + data.size(); }
  };

  static void apply(byte_buffer& image, std::uint64_t offset, std::span<const std::byte> data);
  static std::vector<piece> without(const piece& from, std::uint64_t begin, std::uint64_t end);
  void supersede_dropped(const piece& newer);
  void keep_prefix_of_writes(byte_buffer& image, crash_dice& dice, std::uint64_t grain_bytes) const;
  void keep_grains(byte_buffer& image, crash_dice& dice, std::uint64_t grain_bytes) const;

  byte_buffer visible_;
  byte_buffer durable_;
  std::vector<piece> unsynced_; ///< in the order written
};

struct memory_node;
using memory_node_ptr = std::shared_ptr<memory_node>;

/// A directory's entries.
class memory_entries {
public:
  using table = std::map<std::string, memory_node_ptr>;

  [[nodiscard]] const table& visible() const { return visible_; }
  [[nodiscard]] const table& durable() const { return durable_; }

  /// @returns null when there is no such entry
  [[nodiscard]] memory_node_ptr find(const std::string& name) const;
  void set(const std::string& name, memory_node_ptr node);
  void erase(const std::string& name);
  void sync();
  /// As memory_content::fail_sync(), for entries made and removed.
  void fail_sync();
  void crash(crash_dice& dice);

private:
  struct change {
    std::string name;
    memory_node_ptr node; ///< null: removed
    bool is_dropped = false;
  };

  static void apply(table& entries, const change& what);

  table visible_;
  table durable_;
  std::vector<change> unsynced_; ///< in the order made
};

/// A volume's size; files of a directory tree share it.
struct memory_volume {
  std::uint64_t capacity_bytes = 0;
  std::uint64_t used_bytes = 0;
};

enum class memory_node_kind : std::uint8_t { file, directory, symlink };

/// An inode.
struct memory_node {
  memory_node_kind kind = memory_node_kind::file;
  std::shared_ptr<memory_volume> volume;
  memory_content content;             ///< file
  memory_entries entries;             ///< directory
  std::string target;                 ///< symlink
  std::uint64_t preallocated_end = 0; ///< file: space is taken up to here
  std::uint64_t charged_bytes = 0;    ///< file: its part of volume->used_bytes
  std::uint64_t open_handles = 0;     ///< file: it keeps its space until the last one closes
  bool is_linked = true;              ///< it has a visible name
  /// file: bytes that the disk does not give, by begin and end
  std::vector<std::pair<std::uint64_t, std::uint64_t>> unreadable = {};

  /// Brings the volume's used bytes up to date.
  void charge();
  /// Crashes this node and, for a directory, all that it still holds. Volumes are charged anew: the caller
  /// sets their used bytes to 0 first.
  void crash(crash_dice& dice);
};

} // namespace cairn
