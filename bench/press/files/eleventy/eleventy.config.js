// A blog of ten posts a page, tags, an archive and one Atom feed.
export default function (config) {
  config.addPassthroughCopy("assets");
  config.addFilter("day", (date) => date.toISOString().slice(0, 10));
  config.addFilter("plain", (html) => (html || "").replace(/<[^>]*>/g, "").slice(0, 300));
  config.addFilter("head", (list, count) => list.slice(0, count));
  config.addFilter("years", (posts) => {
    const years = new Map();
    for (const post of posts) {
      const year = post.date.getUTCFullYear();
      years.set(year, [...(years.get(year) || []), post]);
    }
    return [...years];
  });
  config.addCollection("newest", (api) => api.getFilteredByGlob("posts/*.md").reverse());
  config.addCollection("subjects", (api) => {
    const found = new Map();
    for (const post of api.getFilteredByGlob("posts/*.md").reverse()) {
      for (const tag of post.data.tags || []) found.set(tag, [...(found.get(tag) || []), post]);
    }
    return [...found].sort().map(([name, posts]) => ({ name, posts, slug: name.replace(/\s+/g, "-") }));
  });
  return { markdownTemplateEngine: false, dir: { output: "_site" } };
}
