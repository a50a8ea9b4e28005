export default {
  layout: "post.njk",
  permalink: (data) => {
    const [year, month] = data.page.date.toISOString().split("-");
    return `/${year}/${month}/${data.page.fileSlug}/`;
  },
};
