# What every reader called tumour, and how often the same image was labelled otherwise.
# Run it in the folder of an export, base R is enough:
#
#     Rscript analyse.R
#
# It is a start: `plainsight analyse FOLDER` computes everything, with intervals and tests.

rows <- read.csv("presentations.csv", colClasses = "character", na.strings = "")
rows <- rows[!is.na(rows$label) & rows$excluded == "0", ]
rows$label <- as.integer(rows$label)
rows$arm <- ifelse(is.na(rows$attack_id), "original", rows$attack_id)

cat("Tumour answers by reader, set, truth and arm\n")
keys <- rows[c("reader_id", "set", "truth", "arm")]
counts <- aggregate(list(tumour = rows$label), keys, sum)
counts$n <- aggregate(list(n = rows$label), keys, length)$n
print(counts, row.names = FALSE)

cat("\nFlips by reader and arm\n")
of <- c("reader_id", "set", "image_id")
original <- rows[rows$arm == "original", c(of, "label")]
perturbed <- rows[rows$arm != "original", c(of, "arm", "label")]
pairs <- merge(original, perturbed, by = of, suffixes = c("_original", "_perturbed"))
if (nrow(pairs) > 0) {
  flipped <- as.integer(pairs$label_original != pairs$label_perturbed)
  flips <- aggregate(list(flips = flipped), pairs[c("reader_id", "arm")], sum)
  flips$pairs <- aggregate(list(n = flipped), pairs[c("reader_id", "arm")], length)$n
  print(flips, row.names = FALSE)
}

# With the packages MRMCaov and iMRMC, where there are cases of both truths:
if (requireNamespace("MRMCaov", quietly = TRUE)) {
  d <- read.csv("mrmcaov.csv", colClasses = c(reader = "factor", treatment = "factor", case = "factor"))
  d <- d[d$set == 1, ]
  if (length(unique(d$truth)) == 2) {
    library(MRMCaov)
    print(summary(mrmc(empirical_auc(truth, rating), treatment, reader, case, data = d, cov = DeLong)))
  }
}
if (requireNamespace("iMRMC", quietly = TRUE)) {
  d <- read.csv("imrmc-set1.csv", colClasses = c("character", "character", "character", "numeric"))
  if (length(unique(d$score[d$readerID == "truth"])) == 2) {
    print(iMRMC::doIMRMC(d))
  }
}
